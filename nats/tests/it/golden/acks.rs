//! What nodes made of commands.

use vpnmanager_nats::{
    acks::{Ack, FurtherIssued, Issued, Outcome},
    envelope::Envelope,
    ids::Revision,
};

use super::{
    family::{Family, shapes},
    fixed,
};

shapes!(|ack: &Ack| &ack.outcome => {
    Outcome::Applied { issued: None, note: None, .. } => "applied",
    Outcome::Applied { issued: Some(_), further, note: None } if further.is_empty() => "applied_issued",
    Outcome::Applied { issued: Some(_), note: None, .. } => "applied_issued_further",
    Outcome::Applied { note: Some(_), .. } => "applied_with_note",
    Outcome::Failed { .. } => "failed",
    Outcome::Refused { .. } => "refused",
    Outcome::Superseded { .. } => "superseded",
});

#[test]
fn acks() {
    let issued = Issued {
        common_name: fixed::credential(),
        profile_path: "/var/lib/vpnmanager/endnode/profiles/alice@example.com.abcdefghijklmn23.ovpn".to_owned(),
        profile_checksum: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
    };
    let samples = vec![
        ack(Outcome::Applied {
            issued: None,
            further: Vec::new(),
            note: None,
        }),
        Envelope {
            traceparent: fixed::traceparent(),
            ..ack(Outcome::Applied {
                issued: Some(issued.clone()),
                further: Vec::new(),
                note: None,
            })
        },
        ack(Outcome::Applied {
            issued: Some(issued),
            further: vec![FurtherIssued {
                common_name: fixed::older_credential(),
                profile_checksum: "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752".to_owned(),
            }],
            note: None,
        }),
        ack(Outcome::Applied {
            issued: None,
            further: Vec::new(),
            note: Some("the profile was made for a key that is lost".to_owned()),
        }),
        ack(Outcome::Failed {
            error: "the disk is full".to_owned(),
        }),
        ack(Outcome::Refused {
            error: "the issued credential is not among the credentials".to_owned(),
        }),
        ack(Outcome::Superseded { holds: Revision(5) }),
    ];
    Family {
        folder: "acks",
        shapes: SHAPES,
        shape_of,
        samples,
    }
    .check();
}

fn ack(outcome: Outcome) -> Envelope<Ack> {
    Envelope::new(Ack {
        node: fixed::node(),
        instance: fixed::instance(),
        user_key: fixed::user_key(),
        revision: Revision(4),
        outcome,
        applied_at: fixed::moment(),
    })
}
