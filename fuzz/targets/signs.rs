//! Signing requests of a node, as management reads them, and the answers, as a node reads them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vpnmanager_fuzz::{text::is_subject, wire::decode};
use vpnmanager_nats::{
    sign::{MAX_REQUESTS, SignAnswer, SignRequest},
    subjects::{self, FromNode},
};

fuzz_target!(|payload: &[u8]| {
    if let Some(request) = decode::<SignRequest>(payload) {
        assert!(request.requests.len() <= MAX_REQUESTS);
        let subject = subjects::sign(&request.node);
        is_subject(&subject, 3);
        assert_eq!(FromNode::parse(&subject), Some(FromNode::Sign(request.node)));
    }
    decode::<SignAnswer>(payload);
});
