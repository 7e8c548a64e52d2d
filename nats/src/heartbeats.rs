//! Heartbeats, `vpn.health.<node>`: core messages, every five seconds with jitter. One lost heartbeat is no news.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{AgentInstance, NodeId},
    sync::StateDigest,
    text::word_enum,
};

/// How a node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "heartbeat")]
pub struct Heartbeat {
    /// Who speaks; equals the subject's node.
    pub node: NodeId,
    /// Which run of the agent.
    pub instance: AgentInstance,
    /// The node's clock, to measure its skew; the digest holds whatever was acked before.
    pub at: DateTime<Utc>,
    /// Release of the agent.
    pub agent_version: String,
    /// Seconds since the agent started.
    pub uptime_seconds: u64,
    /// How OpenVPN is.
    pub openvpn: OpenvpnHealth,
    /// Users that the journal holds.
    pub users: u64,
    /// Digest over those users and their revisions.
    pub digest: StateDigest,
    /// Stream sequence of the last settled command.
    pub last_sequence: u64,
    /// Whether the node ever held a complete snapshot.
    pub complete: bool,
    /// Local requests that wait for management.
    pub queued_intents: u64,
    /// Whether it moves its clients away; `openvpn.sessions` says how many are left.
    #[serde(default)]
    pub draining: bool,
    /// Bytes free where the journal lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// End of the OpenVPN server certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires_at: Option<DateTime<Utc>>,
}

/// How the VPN process is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenvpnHealth {
    /// Whether it serves.
    pub state: OpenvpnState,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Live sessions.
    pub sessions: u32,
    /// Addresses in its pool, the bound of live sessions.
    pub capacity: u32,
    /// Bytes received from clients since it started.
    pub bytes_in: u64,
    /// Bytes sent to clients since it started.
    pub bytes_out: u64,
    /// What is wrong, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Whether OpenVPN serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(rename_all = "snake_case")]
pub enum OpenvpnState {
    /// It answers and accepts clients.
    Up,
    /// It should serve and does not.
    Down,
    /// It must not serve yet: the node holds no complete snapshot.
    Waiting,
    /// The agent runs none (`openvpn.mode = "none"`).
    Absent,
}

word_enum!(
    OpenvpnState, "a state of OpenVPN", "up, down, waiting or absent",
    Up => "up", Down => "down", Waiting => "waiting", Absent => "absent"
);
