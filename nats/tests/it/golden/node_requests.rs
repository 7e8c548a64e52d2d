//! What management asks of nodes.

use vpnmanager_nats::envelope::Envelope;

use super::{
    family::{Family, shapes},
    fixed,
};

mod requests {
    use serde_json::Value;
    use vpnmanager_nats::{
        commands::{Command, RemoveUser},
        ids::Revision,
        node_requests::NodeRequest,
        subjects,
    };

    use super::*;

    shapes!(|request: &NodeRequest| request => {
        NodeRequest::Profile { .. } => "profile",
        NodeRequest::Sessions { .. } => "sessions",
        NodeRequest::Disconnect { .. } => "disconnect",
        NodeRequest::Drain { .. } => "drain",
        NodeRequest::Apply { .. } => "apply",
        NodeRequest::Sync => "sync",
        NodeRequest::RestartServer { .. } => "restart_server",
        NodeRequest::Users { .. } => "users",
        NodeRequest::Retire { .. } => "retire",
    });

    #[test]
    fn node_requests() {
        Family {
            folder: "node_requests",
            shapes: SHAPES,
            shape_of,
            samples: samples(),
        }
        .check();
    }

    #[test]
    fn the_last_token_of_a_subject_is_the_type_of_the_body() {
        for request in samples() {
            let subject = subjects::node_request(&fixed::node(), &request.body);
            let body: Value = serde_json::from_slice(&request.encode()).unwrap();
            let tokens: Vec<&str> = subject.split('.').collect();
            let node = fixed::node();
            let expected = ["vpn", "node", node.as_str(), body["type"].as_str().unwrap()];
            assert_eq!(tokens, expected);
        }
    }

    fn samples() -> Vec<Envelope<NodeRequest>> {
        let profile = NodeRequest::Profile {
            user_key: fixed::user_key(),
            common_name: fixed::credential(),
        };
        vec![
            Envelope::traced(profile, fixed::traceparent()),
            Envelope::new(NodeRequest::Sessions { offset: 500 }),
            Envelope::new(NodeRequest::Disconnect {
                cid: 7,
                since: fixed::moment(),
            }),
            Envelope::new(NodeRequest::Drain {
                draining: true,
                pace: 20,
            }),
            Envelope::new(NodeRequest::Apply {
                command: Command::RemoveUser(RemoveUser {
                    node: fixed::node(),
                    user_key: fixed::user_key(),
                    username: fixed::username(),
                    revision: Revision(4),
                }),
            }),
            Envelope::new(NodeRequest::Sync),
            Envelope::new(NodeRequest::RestartServer { only_ask: true }),
            Envelope::new(NodeRequest::Users {
                after: Some(fixed::user_key()),
            }),
            Envelope::new(NodeRequest::Retire {
                reason: "this node was deregistered".to_owned(),
            }),
        ]
    }
}

mod answers {
    use vpnmanager_nats::{
        acks::{Ack, Outcome},
        holdings::{HeldAccess, HeldUser},
        ids::Revision,
        node_requests::{LiveSession, NodeAnswer, ProfileParts},
        old_certificates::OldCertificate,
    };

    use super::*;

    shapes!(|answer: &NodeAnswer| answer => {
        NodeAnswer::Profile { .. } => "profile",
        NodeAnswer::ProfileParts(_) => "profile_parts",
        NodeAnswer::Sessions { .. } => "sessions",
        NodeAnswer::Users { .. } => "users",
        NodeAnswer::Disconnected { .. } => "disconnected",
        NodeAnswer::Acked { .. } => "acked",
        NodeAnswer::Done => "done",
        NodeAnswer::NotFound { .. } => "not_found",
        NodeAnswer::Failed { .. } => "failed",
    });

    #[test]
    fn node_answers() {
        let session = |cid: Option<u64>, virtual_address: Option<&str>| LiveSession {
            common_name: fixed::credential(),
            cid,
            real_address: "192.0.2.55:50123".to_owned(),
            virtual_address: virtual_address.map(ToOwned::to_owned),
            virtual_address6: virtual_address.map(|_| "fd00:8::2".to_owned()),
            bytes_in: 5_000_000_000,
            bytes_out: 70_000_000_000,
            since: fixed::moment(),
            client_version: virtual_address.map(|_| "2.6.14".to_owned()),
            client_platform: virtual_address.map(|_| "linux".to_owned()),
            listener: None,
        };
        let held = |is_present: bool| HeldUser {
            user_key: fixed::user_key(),
            username: fixed::username(),
            revision: Revision(4),
            access: is_present.then(|| HeldAccess {
                active: true,
                expires_at: Some(fixed::moment()),
                credentials: vec![fixed::credential()],
                old_certificates: vec![OldCertificate {
                    common_name: "alice".parse().unwrap(),
                    expires_at: None,
                    revoked: vec!["258".parse().unwrap()],
                }],
                cut: false,
            }),
        };
        let samples = vec![
            Envelope::new(NodeAnswer::Profile {
                profile: "client\nremote vpn1.example.com 1194 udp\n".to_owned(),
                checksum: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
            }),
            Envelope::new(NodeAnswer::ProfileParts(ProfileParts {
                certificate: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
                key: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
                tls_crypt_v2: "-----BEGIN OpenVPN tls-crypt-v2 client key-----\nAAAA\n-----END OpenVPN tls-crypt-v2 client key-----\n"
                    .to_owned(),
            })),
            Envelope::new(NodeAnswer::Sessions {
                sessions: vec![session(Some(7), Some("10.8.0.2")), session(None, None)],
                more: true,
            }),
            Envelope::new(NodeAnswer::Users {
                users: vec![held(true), held(false)],
                more: true,
                complete: true,
            }),
            Envelope::new(NodeAnswer::Disconnected {
                common_name: fixed::credential(),
            }),
            Envelope::new(NodeAnswer::Acked {
                ack: Ack {
                    node: fixed::node(),
                    instance: fixed::instance(),
                    user_key: fixed::user_key(),
                    revision: Revision(4),
                    outcome: Outcome::Applied {
                        issued: None,
                    further: Vec::new(),
                        note: None,
                    },
                    applied_at: fixed::moment(),
                },
            }),
            Envelope::new(NodeAnswer::Done),
            Envelope::new(NodeAnswer::NotFound {
                detail: "no such credential is homed here".to_owned(),
            }),
            Envelope::new(NodeAnswer::Failed {
                error: "the journal cannot be read".to_owned(),
            }),
        ];
        Family {
            folder: "node_answers",
            shapes: SHAPES,
            shape_of,
            samples,
        }
        .check();
    }
}
