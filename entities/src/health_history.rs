//! `health_history`: a sample of the heartbeats and each change of state.

use sea_orm::entity::prelude::*;

/// One sample.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "health_history")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The node.
    pub server_id: String,
    /// When.
    pub at: DateTimeUtc,
    /// Its state then.
    pub state: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// Live sessions.
    pub sessions: i32,
    /// Bytes received from clients.
    pub bytes_in: i64,
    /// Bytes sent to clients.
    pub bytes_out: i64,
}

impl ActiveModelBehavior for ActiveModel {}
