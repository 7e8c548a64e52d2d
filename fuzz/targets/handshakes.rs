//! Sync requests and intents of a node, as management reads them, and management's answers, as a node reads them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vpnmanager_fuzz::{text::is_subject, wire::decode};
use vpnmanager_nats::{
    intents::{Intent, IntentAnswer},
    subjects::{self, FromNode},
    sync::{SyncReply, SyncRequest},
};

fuzz_target!(|payload: &[u8]| {
    if let Some(request) = decode::<SyncRequest>(payload) {
        let subject = subjects::sync(&request.node);
        is_subject(&subject, 3);
        assert_eq!(FromNode::parse(&subject), Some(FromNode::Sync(request.node)));
    }
    if let Some(intent) = decode::<Intent>(payload) {
        let subject = subjects::intent(&intent.node);
        is_subject(&subject, 3);
        assert_eq!(FromNode::parse(&subject), Some(FromNode::Intent(intent.node)));
    }
    decode::<SyncReply>(payload);
    decode::<IntentAnswer>(payload);
});
