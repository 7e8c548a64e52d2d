//! The handshake.

use vpnmanager_nats::envelope::Envelope;

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use vpnmanager_nats::sync::{StateDigest, StreamId, SyncRequest};

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
            stream: None,
            queued_intents: 0,
            unsettled: 0,
            at: fixed::moment(),
        };
        let complete = SyncRequest {
            last_sequence: 4711,
            users: 2,
            digest: StateDigest(0x0123_4567_89ab_cdef),
            complete: true,
            stream: Some(StreamId(1_804_000_000_123_456)),
            queued_intents: 1,
            unsettled: 3,
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
    use vpnmanager_nats::sync::{StreamId, SyncAnswer};

    use super::*;

    shapes!(|answer: &SyncAnswer| answer => {
        SyncAnswer::Ok { .. } => "ok",
        SyncAnswer::Resync { .. } => "resync",
        SyncAnswer::Preparing { .. } => "preparing",
        SyncAnswer::Refused { .. } => "refused",
    });

    #[test]
    fn sync_answers() {
        let samples = vec![
            Envelope::traced(
                SyncAnswer::Ok {
                    upto_sequence: 4711,
                    stream: Some(StreamId(1_804_000_000_123_456)),
                },
                fixed::traceparent(),
            ),
            Envelope::new(SyncAnswer::Preparing {
                reason: "the digest differs".to_owned(),
            }),
            Envelope::new(SyncAnswer::Resync {
                upto_sequence: 4711,
                stream: Some(StreamId(1_804_000_000_123_456)),
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
