//! Heartbeats, `vpn.health.<node>`: core messages, every five seconds with jitter. A single lost heartbeat has no effect.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::{OptionalText, TEXT, Text},
    ids::{AgentInstance, NodeId, Revision},
    network::AppliedNetwork,
    sync::StateDigest,
    text::word_enum,
    times,
};

/// The state of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "heartbeat")]
pub struct Heartbeat {
    /// The node that sends it; equals the node in the subject.
    pub node: NodeId,
    /// The run of the agent that sends it.
    pub instance: AgentInstance,
    /// When it was sent, by the node's clock. The digest includes everything that was acked before this moment.
    #[serde(deserialize_with = "times::bounded")]
    pub at: DateTime<Utc>,
    /// Version of the agent, at most 64 characters: as many as management stores.
    #[serde(with = "Text::<64>")]
    pub agent_version: String,
    /// Seconds since the agent started.
    pub uptime_seconds: u64,
    /// The state of OpenVPN.
    pub openvpn: OpenvpnHealth,
    /// Users that the journal holds.
    pub users: u64,
    /// Digest over those users and their revisions.
    pub digest: StateDigest,
    /// Stream sequence of the last settled command.
    pub last_sequence: u64,
    /// Whether the node has ever held a complete snapshot.
    pub complete: bool,
    /// Local requests that wait for management.
    pub queued_intents: u64,
    /// Whether the node is draining; `openvpn.sessions` says how many clients are left.
    #[serde(default)]
    pub draining: bool,
    /// Free bytes on the disk that holds the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// What degrades the node although OpenVPN is as it should be, for people.
    #[serde(default, with = "OptionalText::<TEXT>", skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When the OpenVPN server certificate expires.
    #[serde(
        default,
        deserialize_with = "times::bounded_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub certificate_expires_at: Option<DateTime<Utc>>,
    /// The network that it has applied; `None` before the first, and where the agent does not run OpenVPN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<AppliedNetwork>,
    /// The revision of the groups that it holds members to; `None` before the first, and where the agent does not run OpenVPN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Revision>,
}

/// The state of the OpenVPN process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenvpnHealth {
    /// Whether it serves.
    pub state: OpenvpnState,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its version.
    #[serde(default, with = "OptionalText::<TEXT>", skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Live sessions.
    pub sessions: u32,
    /// The number of addresses in its pool, the most sessions that it can have.
    pub capacity: u32,
    /// Bytes received from clients since it started.
    pub bytes_in: u64,
    /// Bytes sent to clients since it started.
    pub bytes_out: u64,
    /// What is wrong, for people.
    #[serde(default, with = "OptionalText::<TEXT>", skip_serializing_if = "Option::is_none")]
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
    /// It should serve but does not.
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
