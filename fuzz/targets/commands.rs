//! Commands and requests of management, as a node reads them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vpnmanager_fuzz::{text::is_subject, wire::decode};
use vpnmanager_nats::{
    commands::Command,
    ids::NodeId,
    node_requests::NodeRequest,
    subjects::{self, FromNode},
};

fuzz_target!(|payload: &[u8]| {
    if let Some(command) = decode::<Command>(payload) {
        let subject = subjects::command(command.node(), command.user_key());
        is_subject(&subject, 4);
        assert_eq!(FromNode::parse(&subject), None, "no node publishes a command");
    }
    if let Some(request) = decode::<NodeRequest>(payload) {
        let node: NodeId = "node-1".parse().expect("a node's id");
        is_subject(&subjects::node_request(&node, &request), 4);
    }
});
