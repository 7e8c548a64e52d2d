//! The largest honest message of each kind fits its bound, and what is larger or odd is refused, not guessed.

use std::num::{NonZeroU16, NonZeroU32};

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    acks::{Ack, FurtherIssued, Issued, Outcome},
    bounded::ENTRIES,
    commands::{Command, Protocol},
    device::MOST_DEVICES,
    endpoint::Endpoint,
    envelope::{DecodeError, Envelope},
    events::{Event, EventKind},
    heartbeats::{Heartbeat, OpenvpnHealth, OpenvpnState},
    holdings::{HeldAccess, HeldUser, USERS_PAGE, page_of},
    ids::{AgentInstance, CommonName, EventId, IntentId, NodeId, Revision, UserKey},
    intents::{Intent, IntentAction},
    network::AppliedNetwork,
    node_requests::{LiveSession, NodeAnswer, ProfileParts, SESSIONS_PAGE},
    old_certificates::OldCertificate,
    payload::{MOST_OF_A_NODE, Payload},
    sessions::{EndKind, Ended, MOST_RECORDS, SessionRecord, SessionReport},
    sign::{CertificateRequest, MAX_REQUESTS, SignRequest},
    sync::{StateDigest, StreamId, SyncRequest},
    username::Username,
};

fn node() -> NodeId {
    "n".repeat(63).parse().unwrap()
}

fn name() -> CommonName {
    "c".repeat(64).parse().unwrap()
}

fn late() -> DateTime<Utc> {
    "9999-12-31T23:59:59.999999999Z".parse().unwrap()
}

/// More than may be said, in the characters that need most bytes.
fn long() -> String {
    "\"😀".repeat(10_000)
}

/// Encodes a message, checks the bounds of its kind and of a node, and gives its size.
fn size<T: Payload>(body: T) -> usize {
    let payload = Envelope::traced(body, Some("t".repeat(55))).encode();
    assert!(payload.len() <= T::MAX_BYTES, "{} bytes", payload.len());
    assert!(payload.len() <= MOST_OF_A_NODE, "{} bytes", payload.len());
    assert!(Envelope::<T>::decode(&payload).is_ok());
    payload.len()
}

#[test]
fn the_largest_honest_messages_fit() {
    let request = || CertificateRequest {
        common_name: name(),
        csr: csr(),
    };
    let session = || LiveSession {
        common_name: name(),
        cid: Some(u64::MAX),
        real_address: "f".repeat(64),
        virtual_address: Some("f".repeat(64)),
        virtual_address6: Some("f".repeat(64)),
        bytes_in: u64::MAX,
        bytes_out: u64::MAX,
        since: late(),
        client_version: Some("v".repeat(100)),
        client_platform: Some("p".repeat(100)),
        listener: Some("tcp:65535".parse().unwrap()),
    };
    let sessions = vec![session(); 10 * SESSIONS_PAGE];
    let held = || HeldUser {
        user_key: UserKey::new(),
        username: username(),
        revision: Revision(Revision::MAX),
        access: Some(HeldAccess {
            active: false,
            expires_at: Some(late()),
            credentials: vec![name(); 10 * MOST_DEVICES],
            old_certificates: vec![
                OldCertificate {
                    common_name: name(),
                    expires_at: Some(late()),
                    revoked: vec!["9".repeat(49).parse().unwrap(); 256],
                };
                100
            ],
            cut: false,
        }),
    };
    let (users, more) = page_of((0..10 * USERS_PAGE).map(|_| held()));
    let record = SessionRecord {
        session: LiveSession {
            client_version: Some(long()),
            client_platform: Some(long()),
            ..session()
        },
        seen_at: late(),
        ended: Some(Ended {
            at: late(),
            kind: EndKind::Assumed,
        }),
    };
    let event = |kind| Event {
        id: EventId::new(),
        node: node(),
        instance: AgentInstance::new(),
        at: late(),
        kind,
    };
    let ack = |outcome| Ack {
        node: node(),
        instance: AgentInstance::new(),
        user_key: UserKey::new(),
        revision: Revision(Revision::MAX),
        outcome,
        applied_at: late(),
    };
    let sizes = [
        (
            "sign",
            size(SignRequest {
                node: node(),
                requests: (0..MAX_REQUESTS).map(|_| request()).collect(),
                server: None,
            }),
        ),
        ("sessions", size(NodeAnswer::Sessions { sessions, more: true })),
        (
            "users",
            size(NodeAnswer::Users {
                users,
                more,
                complete: true,
            }),
        ),
        ("failed", size(NodeAnswer::Failed { error: long() })),
        (
            "profile",
            size(NodeAnswer::ProfileParts(ProfileParts {
                certificate: "A".repeat(4096),
                key: "A".repeat(1024),
                tls_crypt_v2: "A".repeat(2048),
            })),
        ),
        (
            "cut",
            size(event(EventKind::SessionsCut {
                common_names: vec![name(); ENTRIES],
            })),
        ),
        (
            "repaired",
            size(event(EventKind::AllowListRepaired {
                restored: vec!["c".repeat(64); 100_000],
                removed: vec!["😀".repeat(63); 100_000],
            })),
        ),
        (
            "undecodable",
            size(event(EventKind::CommandUndecodable {
                subject: long(),
                sequence: u64::MAX,
                error: long(),
            })),
        ),
        ("failed ack", size(ack(Outcome::Failed { error: long() }))),
        (
            "applied",
            size(ack(Outcome::Applied {
                issued: Some(Issued {
                    common_name: name(),
                    profile_path: long(),
                    profile_checksum: "0".repeat(64),
                }),
                further: vec![
                    FurtherIssued {
                        common_name: name(),
                        profile_checksum: "0".repeat(64),
                    };
                    MOST_DEVICES - 1
                ],
                note: Some(long()),
            })),
        ),
        (
            "history",
            size(SessionReport {
                node: node(),
                instance: AgentInstance::new(),
                records: vec![record; MOST_RECORDS],
            }),
        ),
        (
            "sync",
            size(SyncRequest {
                node: node(),
                instance: AgentInstance::new(),
                last_sequence: u64::MAX,
                users: u64::MAX,
                digest: StateDigest(u64::MAX),
                complete: true,
                stream: Some(StreamId(i64::MAX)),
                queued_intents: u64::MAX,
                unsettled: u64::MAX,
                endpoint: Some(Endpoint {
                    host: Some(["h".repeat(63).as_str(); 3].join(".").parse().unwrap()),
                    port: NonZeroU16::MAX,
                    protocol: Protocol::Udp,
                    listeners: Some("udp:65535,tcp:65535,udp:65534,tcp:65534".parse().unwrap()),
                    pool: node(),
                    capacity: NonZeroU32::MAX,
                }),
                at: late(),
            }),
        ),
        (
            "create",
            size(intent(IntentAction::CreateUser {
                username: username(),
                expires_at: Some(late()),
            })),
        ),
        (
            "remove",
            size(intent(IntentAction::RemoveUser {
                user_key: UserKey::new(),
                username: username(),
            })),
        ),
        ("heartbeat", size(heartbeat())),
    ];
    eprintln!("{sizes:?}");
}

fn intent(action: IntentAction) -> Intent {
    Intent {
        id: IntentId::new(),
        node: node(),
        requested_at: late(),
        source: Some("2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap()),
        local: true,
        action,
    }
}

fn username() -> Username {
    "u".repeat(64).parse().unwrap()
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        node: node(),
        instance: AgentInstance::new(),
        at: late(),
        agent_version: long(),
        uptime_seconds: u64::MAX,
        openvpn: OpenvpnHealth {
            state: OpenvpnState::Waiting,
            pid: Some(u32::MAX),
            version: Some(long()),
            sessions: u32::MAX,
            capacity: u32::MAX,
            bytes_in: u64::MAX,
            bytes_out: u64::MAX,
            detail: Some(long()),
        },
        users: u64::MAX,
        digest: StateDigest(u64::MAX),
        last_sequence: u64::MAX,
        complete: false,
        queued_intents: u64::MAX,
        draining: false,
        disk_free_bytes: Some(u64::MAX),
        fault: Some(long()),
        certificate_expires_at: Some(late()),
        network: Some(AppliedNetwork {
            pool: node(),
            revision: Revision(Revision::MAX),
        }),
        groups: Some(Revision(Revision::MAX)),
    }
}

/// As an agent makes it, for the longest common name.
fn csr() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name().as_str());
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn a_message_beyond_the_bound_of_its_kind_is_not_read() {
    let mut payload = Envelope::new(heartbeat()).encode().to_vec();
    payload.resize(Heartbeat::MAX_BYTES, b' ');
    assert!(Envelope::<Heartbeat>::decode(&payload).is_ok());
    payload.push(b' ');
    let refused = Envelope::<Heartbeat>::decode(&payload);
    assert!(
        matches!(
            refused,
            Err(DecodeError::TooLarge {
                found: 8193,
                most: 8192
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn odd_json_is_refused() {
    let mut heartbeat = heartbeat();
    heartbeat.agent_version = "1.0".to_owned();
    heartbeat.openvpn.version = None;
    heartbeat.openvpn.detail = None;
    let honest = String::from_utf8(Envelope::new(heartbeat).encode().to_vec()).unwrap();
    for odd in [
        honest.replacen("\"v\":1", "\"v\":1,\"v\":1", 1),
        honest.replacen("\"users\"", "\"users\":1,\"users\"", 1),
        honest.replacen("\"v\":1", "\"v\":1e999", 1),
        honest.replacen("\"v\":1", "\"v\":-1", 1),
        honest.replacen(&u64::MAX.to_string(), "18446744073709551616", 1),
        honest.replacen(&u64::MAX.to_string(), "-1", 1),
        honest.replacen(&u64::MAX.to_string(), "1.5", 1),
        honest.replacen(&u64::MAX.to_string(), "NaN", 1),
        honest.replacen("\"v\":1", &format!("\"v\":1,\"x\":{}", "[".repeat(1000)), 1),
        honest.replacen(
            "\"v\":1",
            &format!("\"v\":1,\"x\":{}{}", "[".repeat(200), "]".repeat(200)),
            1,
        ),
        format!("{honest}{honest}"),
        String::new(),
        "null".to_owned(),
    ] {
        let refused = Envelope::<Heartbeat>::decode(odd.as_bytes());
        assert!(matches!(refused, Err(DecodeError::Malformed(_))), "{odd:.700}");
    }
    let mut bytes = honest.into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'n').unwrap();
    bytes[at] = 0xff;
    assert!(matches!(
        Envelope::<Heartbeat>::decode(&bytes),
        Err(DecodeError::Malformed(_))
    ));
}

#[test]
fn a_revision_outside_its_range_is_refused() {
    let ack = include_str!("../../golden/acks/superseded.json");
    let holds = |number: &str| {
        let mut ack: serde_json::Value = serde_json::from_str(ack).unwrap();
        ack["holds"] = serde_json::from_str(number).unwrap();
        Envelope::<Ack>::decode(&serde_json::to_vec(&ack).unwrap())
    };
    assert!(holds("1").is_ok());
    assert!(holds("9007199254740991").is_ok());
    for outside in ["-1", "0", "9007199254740992", "9223372036854775807", "1e300"] {
        assert!(matches!(holds(outside), Err(DecodeError::Malformed(_))), "{outside}");
    }
}

#[test]
fn why_a_message_cannot_be_read_is_short_and_quotes_no_key() {
    let cause = |error: DecodeError| std::error::Error::source(&error).expect("a source").to_string();
    let quoting = serde_json::json!({ "v": 1, "type": format!("secret{}", "x".repeat(9000)) }).to_string();
    let answer = Envelope::<NodeAnswer>::decode(quoting.as_bytes()).expect_err("refused");
    assert!(!cause(answer).contains("secret"));
    let command = Envelope::<Command>::decode(quoting.as_bytes()).expect_err("refused");
    let cause = cause(command);
    assert!(cause.contains("secret") && cause.chars().count() < 250, "{cause}");
}
