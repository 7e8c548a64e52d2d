//! `health_status`: the latest heartbeat of each node.

use sea_orm::entity::prelude::*;

/// What a node said last.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "health_status")]
pub struct Model {
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: String,
    /// Which run of the agent.
    pub instance: Uuid,
    /// When it came, by our clock.
    pub received_at: DateTimeUtc,
    /// When it was sent, by the node's clock.
    pub reported_at: DateTimeUtc,
    /// The node's clock minus ours, in milliseconds; includes the way.
    pub clock_skew_ms: i64,
    /// `up`, `down`, `waiting` or `absent`.
    pub openvpn_state: String,
    /// Its process id.
    pub openvpn_pid: Option<i64>,
    /// Live sessions.
    pub sessions: i32,
    /// Sessions that fit at most.
    pub capacity: i32,
    /// Bytes received from clients since OpenVPN started.
    pub bytes_in: i64,
    /// Bytes sent to clients since OpenVPN started.
    pub bytes_out: i64,
    /// Users in the journal.
    pub users: i64,
    /// Digest over them.
    pub digest: String,
    /// Stream sequence of the last settled command.
    pub last_sequence: i64,
    /// Whether it ever held a complete snapshot.
    pub complete: bool,
    /// Local requests that wait for management.
    pub queued_intents: i64,
    /// Whether it moves its clients away.
    pub draining: bool,
    /// What is wrong, in words.
    pub detail: Option<String>,
    /// Since when it holds something else than it should, though nothing waits for it.
    pub drift_since: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
