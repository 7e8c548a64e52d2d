//! The handshake.

use vpnmanager_nats::envelope::Envelope;

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use std::num::{NonZeroU16, NonZeroU32};

    use vpnmanager_nats::{
        commands::Protocol,
        endpoint::Endpoint,
        sync::{StateDigest, StreamId, SyncRequest},
    };

    use super::*;

    shapes!(|request: &SyncRequest| (request.complete, &request.endpoint) => {
        (true, Some(_)) => "with_endpoint",
        (true, None) => "complete",
        (false, _) => "empty_journal",
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
            endpoint: None,
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
        let with_endpoint = SyncRequest {
            endpoint: Some(Endpoint {
                host: Some("vpn1.example.org".parse().expect("a host")),
                port: NonZeroU16::new(1194).expect("a port"),
                protocol: Protocol::Udp,
                pool: "default".parse().expect("a pool"),
                capacity: NonZeroU32::new(1000).expect("a number"),
            }),
            ..complete.clone()
        };
        let samples = vec![
            Envelope::new(empty),
            Envelope::new(complete),
            Envelope::new(with_endpoint),
        ];
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
    use vpnmanager_nats::{
        endpoint::BusPlace,
        sync::{StreamId, SyncAnswer, SyncReply},
    };

    use super::*;

    shapes!(|reply: &SyncReply| (&reply.answer, &reply.bus) => {
        (SyncAnswer::Ok { .. }, Some(_)) => "with_bus",
        (SyncAnswer::Ok { .. }, None) => "ok",
        (SyncAnswer::Resync { recorded_upto: Some(_), .. }, _) => "resync_of_a_lost_journal",
        (SyncAnswer::Resync { .. }, _) => "resync",
        (SyncAnswer::Preparing { .. }, _) => "preparing",
        (SyncAnswer::Refused { .. }, _) => "refused",
    });

    #[test]
    fn sync_answers() {
        let bus = BusPlace {
            urls: vec!["tls://bus.example.org:4222".to_owned()],
            ca: Some("-----BEGIN CERTIFICATE-----\n".to_owned()),
        };
        let told = |answer| SyncReply {
            answer,
            bus: Some(bus.clone()),
        };
        let only = |answer| SyncReply { answer, bus: None };
        let samples = vec![
            Envelope::new(told(SyncAnswer::Ok {
                upto_sequence: 4711,
                stream: Some(StreamId(1_804_000_000_123_456)),
            })),
            Envelope::traced(
                only(SyncAnswer::Ok {
                    upto_sequence: 4711,
                    stream: Some(StreamId(1_804_000_000_123_456)),
                }),
                fixed::traceparent(),
            ),
            Envelope::new(only(SyncAnswer::Preparing {
                reason: "the digest differs".to_owned(),
            })),
            Envelope::new(only(SyncAnswer::Resync {
                upto_sequence: 4711,
                stream: Some(StreamId(1_804_000_000_123_456)),
                reason: "the digest differs".to_owned(),
                recorded_upto: None,
            })),
            Envelope::new(only(SyncAnswer::Resync {
                upto_sequence: 4711,
                stream: Some(StreamId(1_804_000_000_123_456)),
                reason: "the node lost what it held".to_owned(),
                recorded_upto: Some(4700),
            })),
            Envelope::new(only(SyncAnswer::Refused {
                reason: "another live agent has this identity".to_owned(),
            })),
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
