//! The names of what management creates on the bus.

/// The stream of commands: one message kept for each user and node, so that it is every node's snapshot.
pub const COMMANDS: &str = "VPN_COMMANDS";
/// The stream of acks and events.
pub const EVENTS: &str = "VPN_EVENTS";
/// The durable consumer that all management replicas share.
pub const EVENTS_CONSUMER: &str = "mgmt-acks";
/// The queue group in which management replicas share requests and heartbeats.
pub const MANAGEMENT_GROUP: &str = "mgmt";
/// The prefix under which a node's account reaches the JetStream API (see `permissions`).
pub const NODE_API_PREFIX: &str = "jsvpn";
