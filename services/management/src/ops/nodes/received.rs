//! A heartbeat, and when and from whom it arrived.

use chrono::{DateTime, Utc};
use vpnmanager_nats::heartbeats::Heartbeat;

/// A received heartbeat.
#[derive(Debug, Clone)]
pub struct Received {
    /// The heartbeat.
    pub heartbeat: Heartbeat,
    /// When it arrived, by management's clock.
    pub at: DateTime<Utc>,
    /// Who sent it.
    pub by: Speaker,
}

/// Who reports the health of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The agent of the node.
    Agent,
    /// The operator's own monitoring, over HTTP; it does not know what the node holds.
    Monitoring,
}
