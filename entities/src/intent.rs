//! `intents`: answers to requests that operators made at a node's local API.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::{IntentId, NodeId};

/// One request with its answer. A repeated request gets the same answer.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "intents")]
pub struct Model {
    /// The id of the request, chosen by the node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IntentId,
    /// The node that sent it.
    pub server_id: NodeId,
    /// The answer, as it was sent.
    #[sea_orm(column_type = "JsonBinary")]
    pub answer: Json,
    /// When it was answered.
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
