//! Answers of a node, with the parts of a profile, as management reads them.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;
use vpnmanager_fuzz::{site::Site, wire::decode};
use vpnmanager_nats::{
    holdings::USERS_PAGE,
    node_requests::{NodeAnswer, SESSIONS_PAGE},
};

static SITE: LazyLock<Site> = LazyLock::new(Site::new);

fuzz_target!(|payload: &[u8]| {
    let Some(answer) = decode::<NodeAnswer>(payload) else {
        return;
    };
    assert!(format!("{answer:?}").len() < 40, "nothing of an answer is shown");
    match answer {
        NodeAnswer::ProfileParts(sent) => {
            if let Ok(parts) = SITE.check(&sent.certificate, &sent.key, &sent.tls_crypt_v2) {
                assert_eq!(parts.key.expose_secret(), SITE.key);
            }
        }
        NodeAnswer::Sessions { sessions, .. } => assert!(sessions.len() <= SESSIONS_PAGE),
        NodeAnswer::Users { users, .. } => assert!(users.len() <= USERS_PAGE),
        NodeAnswer::Acked { ack } => assert!((1..1 << 53).contains(&ack.revision.0)),
        NodeAnswer::Profile { .. }
        | NodeAnswer::Disconnected { .. }
        | NodeAnswer::Done
        | NodeAnswer::NotFound { .. }
        | NodeAnswer::Failed { .. } => {}
    }
});
