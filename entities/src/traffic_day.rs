//! `traffic_days`: how much traffic each user had on each node and day.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{ids::NodeId, username::Username};

/// One day of one user on one node.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "traffic_days")]
pub struct Model {
    /// The day, in UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: Date,
    /// The row of the user, which may be gone.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: i64,
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// The name of the user.
    pub username: Username,
    /// Bytes that the node received from the user's clients.
    pub bytes_in: i64,
    /// Bytes that the node sent to them.
    pub bytes_out: i64,
    /// Sessions that began that day.
    pub sessions: i64,
}

impl ActiveModelBehavior for ActiveModel {}
