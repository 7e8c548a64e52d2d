//! `audit_log`: who changed what, append-only. Its texts are not parsed: an entry must stay readable whatever it names.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::ids::EventId;

/// One change or event.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_log")]
pub struct Model {
    /// Row id, the order of recording.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// When it was recorded, by the database's clock. In events of nodes from before the trail had months, what the node said.
    pub timestamp: DateTimeUtc,
    /// What was done, such as `user_created`.
    pub action: String,
    /// The name of the user that it concerns.
    pub username: Option<String>,
    /// A description for people.
    pub details: Option<String>,
    /// The address that the request came from.
    #[sea_orm(column_type = "Inet", nullable)]
    pub ip_address: Option<IpNetwork>,
    /// The management server that recorded it, or the node that it came from.
    pub server_id: String,
    /// Who did it: `key:<name>`, `link:<id>`, `node:<id>`, `local:<id>`, `system`, `command` or `unknown`.
    pub actor: String,
    /// The id of the HTTP request that caused it.
    pub request_id: Option<String>,
    /// The state before the change.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub before: Option<Json>,
    /// The state after the change.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub after: Option<Json>,
    /// The id of the node's event that this entry records.
    pub event_id: Option<EventId>,
    /// When a node's event happened, by the node's clock.
    pub reported_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
