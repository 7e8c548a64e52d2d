//! `node_revocations`: nodes whose keys others may have, and whose credentials are being revoked.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::NodeId;

/// One node. The row goes when all of its credentials are revoked.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "node_revocations")]
pub struct Model {
    /// The node, which may be deregistered.
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: NodeId,
    /// The id of the newest credential that is revoked.
    pub upto: i64,
    /// Who asked for it.
    pub actor: String,
    /// The address that the request came from.
    #[sea_orm(column_type = "Inet", nullable)]
    pub ip_address: Option<IpNetwork>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// When it was asked for.
    pub asked_at: DateTimeUtc,
    /// Users whose credentials are revoked.
    pub users: i64,
    /// Credentials that are revoked.
    pub credentials: i64,
}

impl ActiveModelBehavior for ActiveModel {}
