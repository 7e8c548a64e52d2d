//! `placements`: which node should hold which user, and which revision it holds.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
pub use vpnmanager_nats::commands::Role;
use vpnmanager_nats::ids::NodeId;

/// One user on one node. The rows whose applied revision is older than the wanted one are the outbox.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "placements")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user.
    pub user_id: i64,
    /// The node.
    pub server_id: NodeId,
    /// The role of the node for this user.
    pub role: Role,
    /// Whether the node should hold the user; `false`: the user is to be removed from it.
    pub wanted_present: bool,
    /// The revision that the node should hold.
    pub wanted_revision: i64,
    /// The newest revision that the node has acked.
    pub applied_revision: i64,
    /// When the node applied it, by the node's clock.
    pub applied_at: Option<DateTimeUtc>,
    /// The outcome in the latest ack.
    pub outcome: Option<Outcome>,
    /// Why the command was not applied, or a note for the operator.
    pub error: Option<String>,
    /// The newest revision that was published to the stream.
    pub published_revision: i64,
    /// Its sequence in the stream.
    pub published_sequence: i64,
    /// When it was published.
    pub published_at: Option<DateTimeUtc>,
    /// How often publishing the wanted revision was tried.
    pub attempts: i32,
    /// One replica is publishing it until this time; the others leave it alone.
    pub lease_until: DateTimeUtc,
    /// The share of this row in the digest of the node's state: the 64 bits of the hash as a signed number.
    pub digest: i64,
    /// Since when a change that ended access has not been applied; `None` when there is none.
    pub urgent_since: Option<DateTimeUtc>,
    /// When the node was last asked directly to apply it.
    pub asked_at: Option<DateTimeUtc>,
    /// When the user was placed on the node.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

/// The outcome of a command, without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The node holds the revision.
    Applied,
    /// The node could not apply it, and will try again.
    Failed,
    /// The node will never apply it: the command is wrong.
    Refused,
    /// The node already holds a newer revision.
    Superseded,
}

impl Outcome {
    /// The word for it in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
        }
    }
}

impl Entity {
    /// The placements of these users, home nodes first.
    pub fn find_of(users: impl IntoIterator<Item = i64>) -> Select<Self> {
        use sea_orm::QueryOrder;
        Self::find()
            .filter(COLUMN.user_id.eq_any(users))
            .order_by_asc(Column::Role)
            .order_by_asc(Column::ServerId)
    }
}
