//! The handshake.

use vpnmanager_nats::envelope::Envelope;

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use vpnmanager_nats::sync::{StateDigest, SyncRequest};

    use super::*;

    shapes!(|request: &SyncRequest| request.complete => {
        true => "complete",
        false => "empty_journal",
    });

    #[test]
    fn sync_requests() {
        let empty = SyncRequest {
            node: fixed::node(),
            instance: fixed::instance(),
            last_sequence: 0,
            users: 0,
            digest: StateDigest::default(),
            complete: false,
            at: fixed::moment(),
        };
        let complete = SyncRequest {
            last_sequence: 4711,
            users: 2,
            digest: StateDigest(0x0123_4567_89ab_cdef),
            complete: true,
            ..empty.clone()
        };
        let samples = vec![Envelope::new(empty), Envelope::new(complete)];
        Family {
            folder: "sync_requests",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }
}

mod answers {
    use vpnmanager_nats::sync::SyncAnswer;

    use super::*;

    shapes!(|answer: &SyncAnswer| answer => {
        SyncAnswer::Ok { .. } => "ok",
        SyncAnswer::Resync { .. } => "resync",
        SyncAnswer::Refused { .. } => "refused",
    });

    #[test]
    fn sync_answers() {
        let samples = vec![
            Envelope::traced(SyncAnswer::Ok { upto_sequence: 4711 }, fixed::traceparent()),
            Envelope::new(SyncAnswer::Resync {
                upto_sequence: 4711,
                reason: "the digest differs".to_owned(),
            }),
            Envelope::new(SyncAnswer::Refused {
                reason: "another live agent has this identity".to_owned(),
            }),
        ];
        Family {
            folder: "sync_answers",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }
}
