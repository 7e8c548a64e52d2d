//! What nodes tell the audit trail.

use uuid::uuid;
use vpnmanager_nats::{
    envelope::Envelope,
    events::{Event, EventKind},
    ids::EventId,
};

use super::{
    family::{Family, shapes},
    fixed,
};

shapes!(|event: &Event| &event.kind => {
    EventKind::CommandUndecodable { .. } => "command_undecodable",
    EventKind::UserExpired { .. } => "user_expired",
    EventKind::SessionsCut { .. } => "sessions_cut",
    EventKind::AllowListRepaired { .. } => "allow_list_repaired",
    EventKind::OpenvpnUp { .. } => "openvpn_up",
    EventKind::OpenvpnDown { .. } => "openvpn_down",
});

#[test]
fn events() {
    let samples = vec![
        event(EventKind::CommandUndecodable {
            subject: "vpn.cmd.endnode-1.01910000-0000-7000-8000-00000000a11c".to_owned(),
            sequence: 4711,
            error: "the payload is not a valid message".to_owned(),
        }),
        event(EventKind::UserExpired {
            user_key: fixed::user_key(),
            sessions: 2,
        }),
        event(EventKind::SessionsCut {
            common_names: vec![fixed::older_credential()],
        }),
        event(EventKind::AllowListRepaired {
            restored: vec![fixed::credential().to_string()],
            removed: vec!["a stranger's file".to_owned()],
        }),
        event(EventKind::OpenvpnUp { pid: 4242 }),
        event(EventKind::OpenvpnDown {
            reason: "the management socket is gone".to_owned(),
        }),
    ];
    Family {
        folder: "events",
        shapes: SHAPES,
        shape_of,
        samples,
    }
    .check();
}

#[test]
fn the_name_of_a_kind_is_its_tag() {
    for shape in SHAPES {
        let file = format!("{}/golden/events/{shape}.json", env!("CARGO_MANIFEST_DIR"));
        let event = Envelope::<Event>::decode(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(event.body.kind.name(), *shape);
        let encoded: serde_json::Value = serde_json::from_slice(&event.encode()).unwrap();
        assert_eq!(encoded["type"], *shape);
    }
}

fn event(kind: EventKind) -> Envelope<Event> {
    Envelope::new(Event {
        id: EventId(uuid!("01910000-0000-7000-8000-0000000000e7")),
        node: fixed::node(),
        instance: fixed::instance(),
        at: fixed::moment(),
        kind,
    })
}
