//! `audit_log`: who changed what, append-only.

use sea_orm::entity::prelude::*;

/// One change or event.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    /// Row id, the order of recording.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// When it was recorded; for a node's event, when it happened.
    pub timestamp: DateTimeUtc,
    /// What was done, such as `user_created`.
    pub action: String,
    /// The user concerned.
    pub username: Option<String>,
    /// In words.
    pub details: Option<String>,
    /// Where the request came from.
    #[sea_orm(column_type = "Inet", nullable)]
    pub ip_address: Option<IpNetwork>,
    /// Where it was recorded, or the node that it came from.
    pub server_id: String,
    /// Who did it: `key:<name>`, `node:<id>` or `system`.
    pub actor: String,
    /// The request that did it.
    pub request_id: Option<String>,
    /// The state before.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub before: Option<Json>,
    /// The state after.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub after: Option<Json>,
    /// The node's event that this records.
    pub event_id: Option<Uuid>,
}

impl ActiveModelBehavior for ActiveModel {}
