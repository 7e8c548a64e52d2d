//! `replicas`: the replicas of management, and when each last could not hear.

use sea_orm::entity::prelude::*;

/// One replica.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replicas")]
pub struct Model {
    /// `SERVER_ID` in its configuration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: String,
    /// When it last could not hear, or not record, what nodes sent.
    pub deaf_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
