//! Heartbeats, as management reads them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vpnmanager_fuzz::{
    text::{is_subject, prints_as_read},
    wire::decode,
};
use vpnmanager_nats::{
    heartbeats::Heartbeat,
    subjects::{self, FromNode},
    sync::StateDigest,
};

fuzz_target!(|payload: &[u8]| {
    let Some(heartbeat) = decode::<Heartbeat>(payload) else {
        return;
    };
    let subject = subjects::health(&heartbeat.node);
    is_subject(&subject, 3);
    assert_eq!(FromNode::parse(&subject), Some(FromNode::Health(heartbeat.node)));
    assert!(prints_as_read::<StateDigest>(&heartbeat.digest.to_string()).is_some());
});
