//! A heartbeat as it arrived.

use chrono::{DateTime, Utc};
use vpnmanager_nats::heartbeats::Heartbeat;

/// A heartbeat with the moment when it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// What the node said.
    pub heartbeat: Heartbeat,
    /// When it came, by our clock.
    pub at: DateTime<Utc>,
    /// Who said it.
    pub by: Speaker,
}

/// Who reports how a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Its agent.
    Agent,
    /// Somebody else, who does not know what it holds.
    Monitoring,
}
