//! What operators asked of a node.

use uuid::uuid;
use vpnmanager_nats::{envelope::Envelope, ids::IntentId};

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use vpnmanager_nats::intents::{Intent, IntentAction};

    use super::*;

    shapes!(|intent: &Intent| &intent.action => {
        IntentAction::CreateUser { expires_at: None, .. } => "create_user",
        IntentAction::CreateUser { expires_at: Some(_), .. } => "create_user_expiring",
        IntentAction::RemoveUser { .. } => "remove_user",
    });

    #[test]
    fn intents() {
        let username = fixed::username();
        let until = fixed::at("2027-04-01T00:00:00Z");
        let expiring = IntentAction::CreateUser {
            username: username.clone(),
            expires_at: Some(until),
        };
        let samples = vec![
            intent(
                None,
                IntentAction::CreateUser {
                    username: username.clone(),
                    expires_at: None,
                },
            ),
            Envelope {
                traceparent: fixed::traceparent(),
                ..intent(Some("192.0.2.8"), expiring)
            },
            intent(
                Some("2001:db8::8"),
                IntentAction::RemoveUser {
                    user_key: fixed::user_key(),
                    username,
                },
            ),
        ];
        Family {
            folder: "intents",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }

    fn intent(source: Option<&str>, action: IntentAction) -> Envelope<Intent> {
        Envelope::new(Intent {
            id: IntentId(uuid!("01910000-0000-7000-8000-0000000001d7")),
            node: fixed::node(),
            requested_at: fixed::moment(),
            source: source.map(|address| address.parse().unwrap()),
            local: false,
            action,
        })
    }
}

mod answers {
    use vpnmanager_nats::{
        ids::Revision,
        intents::{IntentAnswer, IntentRefusal},
    };

    use super::*;

    shapes!(|answer: &IntentAnswer| answer => {
        IntentAnswer::Accepted { .. } => "accepted",
        IntentAnswer::Unavailable => "unavailable",
        IntentAnswer::Refused { reason: IntentRefusal::UsernameTaken, .. } => "refused_username_taken",
        IntentAnswer::Refused { reason: IntentRefusal::UnknownUser, .. } => "refused_unknown_user",
        IntentAnswer::Refused { reason: IntentRefusal::Expiry, .. } => "refused_expiry",
        IntentAnswer::Refused { reason: IntentRefusal::NodeUnavailable, .. } => "refused_node_unavailable",
    });

    #[test]
    fn intent_answers() {
        let refused = |reason, detail: &str| {
            Envelope::new(IntentAnswer::Refused {
                reason,
                detail: detail.to_owned(),
            })
        };
        let samples = vec![
            Envelope::new(IntentAnswer::Accepted {
                user_key: fixed::user_key(),
                revision: Revision(1),
            }),
            Envelope::new(IntentAnswer::Unavailable),
            refused(IntentRefusal::UsernameTaken, "alice@example.com exists"),
            refused(IntentRefusal::UnknownUser, "that user is gone"),
            refused(IntentRefusal::Expiry, "the expiry is in the past"),
            refused(IntentRefusal::NodeUnavailable, "the node is draining"),
        ];
        Family {
            folder: "intent_answers",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }
}
