//! `api_keys`: who may call the API.

use sea_orm::entity::prelude::*;

/// One key. Only its hash is stored.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The name that operators gave it.
    pub name: String,
    /// SHA-256 of the key.
    pub hash: Vec<u8>,
    /// What it allows.
    pub role: Role,
    /// When it was created.
    pub created_at: DateTimeUtc,
    /// When it stops being valid; `None`: never.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Role {
    /// Every operation.
    Admin,
    /// Only to register nodes.
    Node,
}
