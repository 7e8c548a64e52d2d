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
        (true, Some(Endpoint { listeners: Some(_), .. })) => "with_listeners",
        (true, Some(Endpoint { listeners: None, .. })) => "with_endpoint",
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
        let endpoint = Endpoint {
            host: Some("vpn1.example.org".parse().expect("a host")),
            port: NonZeroU16::new(1194).expect("a port"),
            protocol: Protocol::Udp,
            listeners: None,
            pool: "default".parse().expect("a pool"),
            capacity: NonZeroU32::new(1000).expect("a number"),
        };
        let with_endpoint = SyncRequest {
            endpoint: Some(endpoint.clone()),
            ..complete.clone()
        };
        let with_listeners = SyncRequest {
            endpoint: Some(Endpoint {
                listeners: Some("udp:1194,tcp:443".parse().expect("listeners")),
                ..endpoint
            }),
            ..complete.clone()
        };
        let samples = vec![
            Envelope::new(empty),
            Envelope::new(complete),
            Envelope::new(with_endpoint),
            Envelope::new(with_listeners),
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
        groups::{Group, GroupRules, Groups, Reach, Speed, Transport},
        ids::Revision,
        network::{MaxSegment, Nat, Network, PoolNetwork},
        sync::{StreamId, SyncAnswer, SyncReply},
    };

    use super::*;

    shapes!(|reply: &SyncReply| (&reply.answer, &reply.bus, &reply.network, &reply.groups) => {
        (SyncAnswer::Ok { .. }, _, _, Some(_)) => "with_groups",
        (SyncAnswer::Ok { .. }, _, Some(_), None) => "with_network",
        (SyncAnswer::Ok { .. }, Some(_), None, None) => "with_bus",
        (SyncAnswer::Ok { .. }, None, None, None) => "ok",
        (SyncAnswer::Resync { recorded_upto: Some(_), .. }, ..) => "resync_of_a_lost_journal",
        (SyncAnswer::Resync { .. }, ..) => "resync",
        (SyncAnswer::Preparing { .. }, ..) => "preparing",
        (SyncAnswer::Refused { .. }, ..) => "refused",
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
            network: None,
            groups: None,
        };
        let only = |answer| SyncReply::from(answer);
        let network = PoolNetwork {
            pool: "default".parse().expect("a pool"),
            revision: Revision(7),
            network: Some(Network {
                routes: vec![
                    "10.20.0.0/16".parse().expect("a prefix"),
                    "2001:db8:20::/48".parse().expect("a prefix"),
                ],
                redirect_gateway: false,
                dns_servers: vec!["10.20.0.53".parse().expect("a server")],
                search_domains: vec!["corp.example".parse().expect("a domain")],
                nat: Nat::Masquerade,
                client_to_client: false,
                max_segment: Some(MaxSegment::try_from(1360).expect("a segment")),
                mtu: None,
            }),
        };
        let with_network = SyncReply {
            network: Some(network),
            ..only(SyncAnswer::Ok {
                upto_sequence: 4711,
                stream: Some(StreamId(1_804_000_000_123_456)),
            })
        };
        let with_groups = SyncReply {
            groups: Some(groups()),
            ..only(SyncAnswer::Ok {
                upto_sequence: 4711,
                stream: Some(StreamId(1_804_000_000_123_456)),
            })
        };
        let samples = vec![
            Envelope::new(with_groups),
            Envelope::new(with_network),
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

    /// One that says all that a group can say, and one that says nothing.
    fn groups() -> Groups {
        let reach = |to: &str, protocol, ports: &[&str]| Reach {
            to: Some(to.parse().expect("a prefix")),
            protocol,
            ports: ports.iter().map(|ports| ports.parse().expect("ports")).collect(),
        };
        let rules = GroupRules {
            reach: Some(vec![
                reach("10.20.0.0/16", Some(Transport::Tcp), &["443", "8000-8100"]),
                reach("2001:db8:20::/48", None, &[]),
                Reach::default(),
            ]),
            routes: vec!["10.30.0.0/16".parse().expect("a prefix")],
            up: Some(Speed::try_from(10_000).expect("a speed")),
            down: Some(Speed::try_from(50_000).expect("a speed")),
        };
        let group = |name: &str, rules| Group {
            name: name.parse().expect("a name"),
            rules,
            metered: false,
        };
        Groups {
            revision: Revision(4),
            groups: vec![group("default", GroupRules::default()), group("engineering", rules)],
        }
    }
}
