//! `join_tokens`: one-time tokens with which nodes enrol.

use sea_orm::entity::prelude::*;

/// One token, known by its hash.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "join_tokens")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// The only node that may use it; any node when empty.
    pub server_id: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTimeUtc,
    /// Its end.
    pub expires_at: DateTimeUtc,
    /// When it was used.
    pub used_at: Option<DateTimeUtc>,
    /// The node that used it.
    pub used_by: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
