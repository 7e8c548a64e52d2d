//! `bus_revocations`: bus keys of nodes that may connect no more.

use sea_orm::entity::prelude::*;

/// One revoked key.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bus_revocations")]
pub struct Model {
    /// Public NKey.
    #[sea_orm(primary_key, auto_increment = false)]
    pub public_key: String,
    /// The node that had it.
    pub server_id: String,
    /// Credentials issued until then are refused.
    pub revoked_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
