//! `users`: who should have access.

use sea_orm::entity::prelude::*;

/// One user, alive until `removed_at`; the row of a removed one stays until its last node acked.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Row id, the order of creation.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user on the bus.
    #[sea_orm(unique)]
    pub key: Uuid,
    /// Unique among the living.
    pub username: String,
    /// When it was created.
    pub created_at: DateTimeUtc,
    /// The end of access, if any.
    pub expires_at: Option<DateTimeUtc>,
    /// `false`: suspended.
    pub active: bool,
    /// Where the profile lies on the home node.
    pub ovpn_path: Option<String>,
    /// Port of the home node's endpoint.
    pub port: i32,
    /// Transport of the home node's endpoint.
    pub protocol: String,
    /// Last time a session was seen.
    pub last_access: Option<DateTimeUtc>,
    /// SHA-256 of the profile, lower-case hex.
    pub checksum: Option<String>,
    /// Whether every placement has applied the wanted revision.
    pub synced: bool,
    /// The home node.
    pub server_id: String,
    /// Who created it.
    pub created_by: String,
    /// Bumped by every change.
    pub revision: i64,
    /// When it was removed.
    pub removed_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Users that were not removed.
    pub fn find_living() -> Select<Self> {
        Self::find().filter(COLUMN.removed_at.is_null())
    }

    /// The living user of that name.
    pub fn find_living_by_username(username: &str) -> Select<Self> {
        Self::find_living().filter(COLUMN.username.eq(username))
    }
}
