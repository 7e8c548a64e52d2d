//! `sync`: management asks for the handshake at once.

use vpnmanager_nats::node_requests::NodeAnswer;

use crate::shared::Shared;

pub(super) fn answer(shared: &Shared) -> NodeAnswer {
    shared.node.wakes.prompt.wake();
    NodeAnswer::Done
}
