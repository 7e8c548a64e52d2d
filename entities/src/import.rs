//! `imports`: what was imported of old servers.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One source.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "imports")]
pub struct Model {
    /// A UUIDv7, so that ids are in the order of time.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The node that the source is of, which may be deregistered.
    pub server_id: NodeId,
    /// What the source is called.
    #[sea_orm(column_type = "Text")]
    pub source: String,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
    /// Who imported it.
    pub actor: String,
    /// The address that the request came from.
    #[sea_orm(column_type = "Inet", nullable)]
    pub ip_address: Option<IpNetwork>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// When it began.
    pub started_at: DateTimeUtc,
    /// When it was done.
    pub finished_at: DateTimeUtc,
    /// What became of each entry of the source.
    #[sea_orm(column_type = "JsonBinary")]
    pub report: Json,
}

impl ActiveModelBehavior for ActiveModel {}
