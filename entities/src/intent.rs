//! `intents`: answers given to local requests of nodes.

use sea_orm::entity::prelude::*;

/// One request, answered.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "intents")]
pub struct Model {
    /// The request's own id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The node that asked.
    pub server_id: String,
    /// What it was told.
    #[sea_orm(column_type = "JsonBinary")]
    pub answer: Json,
    /// When.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
