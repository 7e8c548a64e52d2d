//! `rollouts`: restarts of OpenVPN on all nodes of a pool, one node after another. The nodes are in `rollout_nodes`.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One rollout. The row stays when it has ended, until the next one of its pool.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollouts")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The name of the pool.
    pub pool: NodeId,
    /// The row of the pool, which may be deleted.
    pub pool_id: i64,
    /// How far it is.
    pub state: RolloutState,
    /// Whether the clients of a node are moved to others before it is restarted.
    pub drain: bool,
    /// How long that may take on one node, in seconds, 10 to 86400.
    pub drain_for_seconds: i32,
    /// Who asked for it.
    pub actor: String,
    /// The address that the request came from.
    #[sea_orm(column_type = "Inet", nullable)]
    pub ip_address: Option<IpNetwork>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// When it was asked for.
    pub asked_at: DateTimeUtc,
    /// Who wants it to end after the node that restarts at this moment.
    pub stopped_by: Option<String>,
    /// When it ended; `None` while it goes on.
    pub ended_at: Option<DateTimeUtc>,
    /// Why it failed, for people.
    pub detail: Option<String>,
}

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum RolloutState {
    /// It goes on.
    Running,
    /// Each node had its turn.
    Done,
    /// An operator stopped it.
    Stopped,
    /// It could not go on.
    Failed,
}

impl ActiveModelBehavior for ActiveModel {}
