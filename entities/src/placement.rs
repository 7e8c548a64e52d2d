//! `placements`: which node should hold which user, and what it holds.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// One user on one node. Rows whose applied revision is behind are the outbox.
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
    pub server_id: String,
    /// What the node is to the user.
    pub role: Role,
    /// Whether the node should hold the user at all.
    pub wanted_present: bool,
    /// What the node should hold.
    pub wanted_revision: i64,
    /// What it said that it holds.
    pub applied_revision: i64,
    /// When it said so.
    pub applied_at: Option<DateTimeUtc>,
    /// What became of the last command.
    pub outcome: Option<Outcome>,
    /// Why it was not applied, or what the operator should know.
    pub error: Option<String>,
    /// The newest revision that is in the stream.
    pub published_revision: i64,
    /// Its sequence there.
    pub published_sequence: i64,
    /// When it was put there.
    pub published_at: Option<DateTimeUtc>,
    /// Tries to publish the wanted revision.
    pub attempts: i32,
    /// Until then one replica is publishing it.
    pub lease_until: DateTimeUtc,
    /// Share of the node's state digest.
    pub digest: i64,
    /// When the user was placed here.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a node is to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Makes and keeps the profile.
    Home,
    /// Lets the same credentials in.
    Standby,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The node holds it.
    Applied,
    /// The node could not, and tries again.
    Failed,
    /// The node never will.
    Refused,
    /// The node holds a newer revision.
    Superseded,
}

impl Entity {
    /// Where these users are placed.
    pub fn find_of(users: impl IntoIterator<Item = i64>) -> Select<Self> {
        use sea_orm::QueryOrder;
        Self::find()
            .filter(COLUMN.user_id.eq_any(users))
            .order_by_asc(Column::Role)
            .order_by_asc(Column::ServerId)
    }
}
