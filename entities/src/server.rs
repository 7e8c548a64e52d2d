//! `servers`: the end-nodes.

use sea_orm::{QueryOrder, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// One end-node.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The node id, `SERVER_ID` of the agent.
    #[sea_orm(unique)]
    pub name: String,
    /// Where the agent registered from.
    pub host: String,
    /// Port of the agent's local API.
    pub port: i32,
    /// The seed's column, unused: a node has a bus credential of its own.
    pub username: Option<String>,
    /// The seed's column, unused.
    pub password: Option<String>,
    /// Whether new users are placed here.
    pub enabled: bool,
    /// Last completed sync handshake.
    pub last_sync: Option<DateTimeUtc>,
    /// Always `endnode`.
    pub server_type: String,
    /// The seed's column, unused.
    pub management_url: Option<String>,
    /// When it was enrolled.
    pub created_at: DateTimeUtc,
    /// Users of a pool are placed on nodes of that pool.
    pub pool: String,
    /// What clients dial.
    pub public_host: String,
    /// The port that clients dial.
    pub public_port: i32,
    /// `udp` or `tcp`.
    pub public_protocol: String,
    /// Release of the agent.
    pub agent_version: Option<String>,
    /// Public NKey of the agent.
    pub bus_public_key: String,
    /// How it is, by its heartbeats.
    pub state: NodeState,
    /// Why, in words.
    pub state_reason: Option<String>,
    /// Since when.
    pub state_since: DateTimeUtc,
    /// Last heartbeat.
    pub last_seen: Option<DateTimeUtc>,
    /// Since when it was lost, until it is healthy and in sync again.
    pub lost_since: Option<DateTimeUtc>,
    /// Whether the operator moves its clients away.
    pub draining: bool,
    /// Clients that it takes at most.
    pub capacity: Option<i32>,
    /// Since when everything is published again for it.
    pub resync_since: Option<DateTimeUtc>,
    /// Since when it should be asked for the handshake.
    pub prompt_since: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How a node is, by the age and content of its heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Registered, no heartbeat yet.
    Enrolled,
    /// Serves.
    Healthy,
    /// Heard of, with a fault of its own.
    Degraded,
    /// Not heard of for longer than a missed heartbeat explains.
    Stale,
    /// Not heard of for so long that its users should be elsewhere.
    Lost,
}

impl NodeState {
    /// As the database and the API spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrolled => "enrolled",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Stale => "stale",
            Self::Lost => "lost",
        }
    }
}

impl Entity {
    /// Nodes on which users may be placed, by name.
    pub fn find_placeable() -> Select<Self> {
        Self::find()
            .filter(COLUMN.enabled.eq(true))
            .filter(COLUMN.draining.eq(false))
            .filter(Column::LostSince.is_null())
            .order_by_asc(Column::Name)
    }
}
