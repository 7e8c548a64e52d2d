//! `health_status`: the latest heartbeat of each node.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{
    heartbeats::OpenvpnState,
    ids::{AgentInstance, NodeId},
    sync::StateDigest,
};

/// The content of a node's latest heartbeat.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "health_status")]
pub struct Model {
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// The run of the agent that sent it.
    pub instance: AgentInstance,
    /// When it arrived, by our clock.
    pub received_at: DateTimeUtc,
    /// When it was sent, by the node's clock.
    pub reported_at: DateTimeUtc,
    /// The node's clock minus ours, in milliseconds; includes the time that the message travelled.
    pub clock_skew_ms: i64,
    /// Whether OpenVPN serves.
    pub openvpn_state: OpenvpnState,
    /// The process id of OpenVPN.
    pub openvpn_pid: Option<i64>,
    /// Live VPN sessions.
    pub sessions: i32,
    /// The most sessions that the address pool allows.
    pub capacity: i32,
    /// Bytes received from clients since OpenVPN started.
    pub bytes_in: i64,
    /// Bytes sent to clients since OpenVPN started.
    pub bytes_out: i64,
    /// Users in the node's journal.
    pub users: i64,
    /// Digest of these users and their revisions.
    pub digest: StateDigest,
    /// Stream sequence of the latest command that the node has settled.
    pub last_sequence: i64,
    /// Whether the node has ever held a complete snapshot.
    pub complete: bool,
    /// Requests of the node's local API that wait for management.
    pub queued_intents: i64,
    /// Whether the node is draining: moving its clients to other nodes.
    pub draining: bool,
    /// What is wrong, for people.
    pub detail: Option<String>,
    /// What degrades the node although OpenVPN is as it should be, for people.
    pub fault: Option<String>,
    /// The first heartbeat whose digest differed although nothing was pending; `None` while the digest agrees.
    pub drift_since: Option<DateTimeUtc>,
    /// The first of the heartbeats that have all come late since; `None` if this one did not.
    pub late_since: Option<DateTimeUtc>,
    /// The pool whose network the node has applied; `None`: none.
    pub network_pool: Option<NodeId>,
    /// The revision of that pool.
    pub network_revision: Option<i64>,
    /// The revision of the groups that the node holds members to, as the last heartbeat says.
    pub groups_revision: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
