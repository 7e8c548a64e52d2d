//! `servers`: the nodes.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use vpnmanager_nats::{
    commands::{Host, Protocol},
    ids::NodeId,
    listeners::Listeners,
    security::keys::NodePublicKey,
};

/// One node: an OpenVPN server with our agent.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The id of the node, `SERVER_ID` in its agent's configuration.
    #[sea_orm(unique)]
    pub name: NodeId,
    /// The address that the agent registered from.
    pub host: String,
    /// The port of the agent's local API.
    pub port: i32,
    /// Unused, kept for older tools: a node has its own bus credential.
    pub username: Option<String>,
    /// Unused, kept for older tools.
    pub password: Option<String>,
    /// Whether new users may be placed on it.
    pub enabled: bool,
    /// When the latest sync handshake succeeded.
    pub last_sync: Option<DateTimeUtc>,
    /// Always `endnode`.
    pub server_type: String,
    /// Unused, kept for older tools.
    pub management_url: Option<String>,
    /// When the node enrolled.
    pub created_at: DateTimeUtc,
    /// Its pool. Users of a pool are placed only on the nodes of that pool.
    pub pool: String,
    /// The DNS name or address that clients connect to.
    pub public_host: Host,
    /// The port that clients connect to, of the first of [`listeners`](Self::listeners).
    pub public_port: i32,
    /// The transport that clients use, of the first.
    pub public_protocol: Protocol,
    /// All its listeners.
    pub listeners: Listeners,
    /// Version of the agent.
    pub agent_version: Option<String>,
    /// The agent's public NKey.
    pub bus_public_key: NodePublicKey,
    /// Since when it has had that key, by the clock of the database: nothing was issued to it for that key before.
    pub bus_key_since: DateTimeUtc,
    /// Its state, judged by the age and content of its heartbeats.
    pub state: NodeState,
    /// The reason for the state, for people.
    pub state_reason: Option<String>,
    /// When it entered the state.
    pub state_since: DateTimeUtc,
    /// When its latest heartbeat arrived.
    pub last_seen: Option<DateTimeUtc>,
    /// Since when it has been heard without a break; means nothing while it is stale or lost. `None`: not heard since this is recorded.
    pub heard_since: Option<DateTimeUtc>,
    /// Since when, by its own clock, it holds nothing of what it had applied before: it lost its journal. `None` again once it holds everything.
    pub emptied_at: Option<DateTimeUtc>,
    /// When it was noted, by the clock of the database, that it had lost its journal: it can tell nothing of the sessions that were open then.
    /// `None`: it never did, as far as is recorded.
    pub journal_lost_at: Option<DateTimeUtc>,
    /// When it was lost; `None` again once it is healthy and in sync.
    pub lost_since: Option<DateTimeUtc>,
    /// Whether an operator asked to move its clients to other nodes.
    pub draining: bool,
    /// The most clients that it accepts.
    pub capacity: Option<i32>,
    /// When publishing everything again for it began; `None` once that is done.
    pub resync_since: Option<DateTimeUtc>,
    /// When it was decided to ask the node for a sync handshake; `None` once it was asked.
    pub prompt_since: Option<DateTimeUtc>,
    /// When it last sent more than its budget on the bus.
    pub over_budget_at: Option<DateTimeUtc>,
    /// Of what it sent too much, for people.
    pub over_budget: Option<String>,
    /// Until when the bus refuses it, because it sent far more than its budget.
    pub cut_off_until: Option<DateTimeUtc>,
    /// SHA-256 of what it was enrolled as; a request to enrol that equals it is a repetition. `None`: enrolled by an older release.
    pub enrolled_as: Option<Vec<u8>>,
    /// The pool that the configuration of its agent names, where it is another than `pool`.
    pub asked_pool: Option<String>,
    /// Since when it is on its way out of the fleet or of its pool: its users leave it some at a time.
    pub leaving_since: Option<DateTimeUtc>,
    /// The pool that it moves to when its users have left; `None` while it leaves: it is deregistered.
    pub leaving_for: Option<String>,
    /// When the port or the transport of its first listener changed last.
    pub endpoint_changed_at: Option<DateTimeUtc>,
}

impl Model {
    /// Whether it was removed from the fleet. Its row goes when its users have left.
    pub fn is_deregistered(&self) -> bool {
        self.leaving_since.is_some() && self.leaving_for.is_none()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The state of a node, judged by the age and content of its heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Registered, but no heartbeat has arrived yet.
    Enrolled,
    /// It serves, and nothing is wrong.
    Healthy,
    /// Its heartbeats arrive and report a fault.
    Degraded,
    /// No heartbeat for longer than one lost message explains.
    Stale,
    /// No heartbeat for so long that its users should move to other nodes.
    Lost,
}

impl NodeState {
    /// The word for it in the database and in the API.
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
