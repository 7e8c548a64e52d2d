//! The health of a VPN server.

use chrono::{DateTime, Utc};
use vpnmanager_nats::heartbeats::{OpenvpnHealth, OpenvpnState};

/// Whether the server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendState {
    /// It answers and accepts clients.
    Up,
    /// It was started moments ago and does not answer yet.
    Starting,
    /// It should serve, and does not.
    Down,
    /// It is not meant to serve: the snapshot is incomplete, or this node was told to stop.
    Stopped,
    /// The agent looks after no server.
    Absent,
}

/// The health of a VPN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendHealth {
    /// Whether it serves.
    pub state: BackendState,
    /// Its process, when there is one.
    pub pid: Option<u32>,
    /// Its release, such as `2.6.14`.
    pub version: Option<String>,
    /// Since when that process has served.
    pub since: Option<DateTime<Utc>>,
    /// The same of the process that has served for longest, where there are several.
    pub oldest_since: Option<DateTime<Utc>>,
    /// Connected clients.
    pub sessions: u32,
    /// Clients that fit at once: addresses of the network, or the limit on clients where that is lower. 0 = not known.
    pub capacity: u32,
    /// Bytes received from clients since the server started.
    pub bytes_in: u64,
    /// Bytes sent to clients since the server started.
    pub bytes_out: u64,
    /// How often the agent had to start it again since the agent started.
    pub restarts: u32,
    /// It failed, and has neither run well since nor been ended in good order.
    pub is_failing: bool,
    /// It serves, and one of its listeners should and does not: the fault says which, and why.
    pub is_partly_down: bool,
    /// What degrades the node although the server runs, in words.
    pub fault: Option<String>,
    /// In words: what is wrong, or worth knowing. Empty when there is nothing to say.
    pub detail: String,
}

impl BackendHealth {
    /// The health of a server of which nothing but its state is known.
    pub fn bare(state: BackendState, detail: impl Into<String>) -> Self {
        Self {
            state,
            pid: None,
            version: None,
            since: None,
            oldest_since: None,
            sessions: 0,
            capacity: 0,
            bytes_in: 0,
            bytes_out: 0,
            restarts: 0,
            is_failing: false,
            is_partly_down: false,
            fault: None,
            detail: detail.into(),
        }
    }
}

/// As heartbeats tell it to management.
impl From<BackendHealth> for OpenvpnHealth {
    fn from(health: BackendHealth) -> Self {
        Self {
            state: match health.state {
                BackendState::Up => OpenvpnState::Up,
                BackendState::Down => OpenvpnState::Down,
                BackendState::Starting | BackendState::Stopped => OpenvpnState::Waiting,
                BackendState::Absent => OpenvpnState::Absent,
            },
            pid: health.pid,
            version: health.version,
            sessions: health.sessions,
            capacity: health.capacity,
            bytes_in: health.bytes_in,
            bytes_out: health.bytes_out,
            detail: Some(health.detail).filter(|detail| !detail.is_empty()),
        }
    }
}
