//! The names of what management creates on the bus.

use crate::ids::NodeId;

/// The stream of commands: one message kept for each user and node, so that it is every node's snapshot.
pub const COMMANDS: &str = "VPN_COMMANDS";
/// The first part of the name of each node's stream of acks and events, see [`reports_stream`]. Alone it was the name of the one stream
/// that all nodes shared.
pub const EVENTS: &str = "VPN_EVENTS";
/// The durable consumer of each node's stream of acks and events; all management replicas share it.
pub const EVENTS_CONSUMER: &str = "mgmt-acks";
/// The queue group in which management replicas share requests and heartbeats.
pub const MANAGEMENT_GROUP: &str = "mgmt";
/// The prefix under which a node's account reaches the JetStream API (see `permissions`).
pub const NODE_API_PREFIX: &str = "jsvpn";

/// `VPN_EVENTS_<node>`: the stream of one node's acks and events. Each node has its own, so that none can fill the room of another, or
/// make another's reports wait behind its own.
pub fn reports_stream(node: &NodeId) -> String {
    format!("{EVENTS}_{node}")
}

/// The node whose stream of acks and events has this name.
pub(super) fn node_of_reports_stream(name: &str) -> Option<NodeId> {
    name.strip_prefix(EVENTS)?.strip_prefix('_')?.parse().ok()
}
