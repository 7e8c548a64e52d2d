//! `bus_revocations`: bus keys of nodes that may no longer connect. Keys and nodes are plain text here: a row that does not
//! parse must not keep the others from being enforced.

use sea_orm::entity::prelude::*;

/// One revoked key.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bus_revocations")]
pub struct Model {
    /// Public NKey.
    #[sea_orm(primary_key, auto_increment = false)]
    pub public_key: String,
    /// The node that used the key.
    pub server_id: String,
    /// Credentials that were issued until this moment are refused. It lies minutes after the revocation, because a credential may be issued by a
    /// clock that is ahead.
    pub revoked_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
