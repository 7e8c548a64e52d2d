//! `/api/audit`: who changed what.

use chrono::DateTime;
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use vpnmanager_entities::audit_log;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::Admin;
use super::failure;
use super::scalars::{ActionText, ServerIdText, UsernameText};
use super::shown;
use super::tags::Tag;
use crate::app::App;
use crate::ops::read_audit::{self, AuditFilter};

/// One change or event.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
struct AuditEntry {
    /// Number of the entry; entries are listed by it, the highest first.
    id: i64,
    /// When it was recorded, by the clock of the database. Filters and partitions go by it.
    timestamp: Timestamp,
    /// When an event of a node happened, by the node's clock, which may be wrong or lie.
    reported_at: Option<Timestamp>,
    /// What was done, such as `user_created`.
    action: String,
    /// Who did it: `key:<name>`, `link:<id>` for whoever has that link to a profile, `node:<id>`, `system`, `command` for a command of
    /// management's program, or `unknown` for somebody without a valid key.
    actor: String,
    /// The user concerned.
    username: Option<String>,
    /// The server concerned, or the management replica that recorded it.
    server_id: String,
    /// An explanation, for people.
    details: Option<String>,
    /// The address that the request came from.
    ip_address: Option<String>,
    /// Id of the request, as in its `x-request-id` header.
    request_id: Option<String>,
    /// The state before the change.
    before: Option<Value>,
    /// The state after the change.
    after: Option<Value>,
}

pub(super) struct AuditApi;

#[OpenApi(prefix_path = "/api/audit", tag = "Tag::Audit")]
impl AuditApi {
    /// List the audit trail
    ///
    /// Newest entries first. Only entries that match all given filters are listed.
    #[oai(path = "/", method = "get", operation_id = "list_audit")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
        /// Only entries about this user.
        username: Query<Option<UsernameText>>,
        /// Only entries about this server, or recorded by this management replica.
        server_id: Query<Option<ServerIdText>>,
        /// Only entries with this action.
        action: Query<Option<ActionText>>,
        /// Only entries recorded at or after this time.
        since: Query<Option<Timestamp>>,
        /// Only entries recorded before this time.
        until: Query<Option<Timestamp>>,
    ) -> Result<PageAnswer<AuditEntry>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let filter = AuditFilter {
            username: username.0.map(|name| name.0.to_string()),
            server_id: server_id.0.map(|id| id.0.to_string()),
            action: action.0.map(|action| action.0),
            since: since.0.map(Timestamp::to_utc),
            until: until.0.map(Timestamp::to_utc),
        };
        let rows = read_audit::read_audit(app.0, &filter, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, AuditEntry::of))
    }
}

impl AuditEntry {
    fn of(row: audit_log::Model) -> Self {
        let state = if row.actor.starts_with("node:") {
            shown::reported_state
        } else {
            shown::state
        };
        Self {
            id: row.id,
            timestamp: row.timestamp.into(),
            reported_at: row.reported_at.map(Into::into),
            action: row.action,
            actor: row.actor,
            username: row.username,
            server_id: row.server_id,
            details: row.details.map(shown::text),
            ip_address: row.ip_address.map(|address| address.ip().to_string()),
            request_id: row.request_id,
            before: row.before.map(state),
            after: row.after.map(state),
        }
    }
}

impl Example for AuditEntry {
    fn example() -> Self {
        Self {
            id: 42,
            timestamp: DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default().into(),
            reported_at: None,
            action: "user_created".to_owned(),
            actor: "key:admin".to_owned(),
            username: Some("alice".to_owned()),
            server_id: "management-server".to_owned(),
            details: None,
            ip_address: Some("192.0.2.7".to_owned()),
            request_id: Some("5f0c6e1f1f7c4c6c9f0e2b1a7d3c4b5a".to_owned()),
            before: None,
            after: Some(json!({ "username": "alice", "revision": 1, "active": true })),
        }
    }
}
