//! `rollout_nodes`: the nodes of each rollout.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One node of a rollout.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollout_nodes")]
pub struct Model {
    /// The rollout.
    #[sea_orm(primary_key, auto_increment = false)]
    pub rollout_id: i64,
    /// The node, which may be deregistered.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// How far it is.
    pub state: RolloutNodeState,
    /// When it entered the state.
    pub since: DateTimeUtc,
    /// Sessions that are left while it drains, as its last heartbeat said.
    pub sessions_left: Option<i32>,
    /// What it waits for, or why it was skipped or failed, for people.
    pub detail: Option<String>,
    /// Whether the rollout drained it, and has to end that; no more so once an operator drained it too.
    pub drained: bool,
    /// Since when it is its turn and it cannot begin.
    pub held_up_since: Option<DateTimeUtc>,
    /// The process id of the OpenVPN that is to end, as its last heartbeat before said.
    pub openvpn_pid: Option<i64>,
    /// When its agent was last asked to restart OpenVPN.
    pub asked_at: Option<DateTimeUtc>,
    /// When its agent last said that the restart is begun.
    pub begun_at: Option<DateTimeUtc>,
}

/// How far a node of a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum RolloutNodeState {
    /// Its turn has not come.
    Waiting,
    /// Its clients are moved to other nodes.
    Draining,
    /// Its OpenVPN restarts.
    Restarting,
    /// It was restarted, and serves.
    Done,
    /// It was not restarted.
    Skipped,
    /// It did not come back.
    Failed,
}

impl ActiveModelBehavior for ActiveModel {}
