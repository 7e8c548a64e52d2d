//! `replicas`: the replicas of management, and since when each hears.

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
    /// Since when it has heard, and recorded, all that nodes sent; `None` while it does not.
    pub heard_since: Option<DateTimeUtc>,
    /// When it last said that it hears: each second.
    pub heard_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
