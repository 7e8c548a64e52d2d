//! `health_history`: samples of the heartbeats, and every change of a node's state.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

use crate::server::NodeState;

/// One sample.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "health_history")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The node.
    pub server_id: NodeId,
    /// When it was taken, by our clock.
    pub at: DateTimeUtc,
    /// The state of the node at that time.
    pub state: NodeState,
    /// The reason for the state, for people.
    pub reason: Option<String>,
    /// Live VPN sessions.
    pub sessions: i32,
    /// Bytes received from clients since OpenVPN started.
    pub bytes_in: i64,
    /// Bytes sent to clients since OpenVPN started.
    pub bytes_out: i64,
}

impl ActiveModelBehavior for ActiveModel {}
