//! `/api/audit`: who changed what.

mod export;
mod verify;

use chrono::DateTime;
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use vpnmanager_entities::audit_log;
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::access::WholeViewer;
use super::failure;
use super::scalars::{ActionText, ServerIdText, UsernameText};
use super::tags::Tag;
use crate::app::App;
use crate::domain::shown;
use crate::ops::read_audit::{self, AuditFilter};
use export::{ExportedCsv, ExportedLines};
use verify::{Verification, VerificationRequest};

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
    /// Who did it: `key:<name>`, `link:<id>` for whoever has that link to a profile, `node:<id>`, `local:<id>` for root of that node, `system`,
    /// `command` for a command of management's program, or `unknown` for somebody without a valid key.
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

#[OpenApi(prefix_path = "/api", tag = "Tag::Audit")]
impl AuditApi {
    /// List the audit trail
    ///
    /// Newest entries first. Only entries that match all given filters are listed.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn list(
        &self,
        _viewer: WholeViewer,
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
        let filter = filter_of(username.0, server_id.0, action.0, since.0, until.0);
        let rows = read_audit::read_audit(app.0, &filter, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, AuditEntry::of))
    }

    /// Export the audit trail as JSON lines
    ///
    /// All entries that match the filters, the oldest first, without pages: one on each line, with all columns as the database has them, the hashes
    /// among them. Without a filter the signed checkpoints follow, and `vpnmanager-management audit-verify --file` finds out whether anybody changed
    /// the file, or the trail before. What is recorded while the file is written is not in it. An answer that ends without its last chunk is not
    /// whole.
    #[oai(path = "/audit.jsonl", method = "get", operation_id = "export_audit")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn export(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
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
    ) -> Result<ExportedLines, ApiError> {
        let filter = filter_of(username.0, server_id.0, action.0, since.0, until.0);
        export::export_lines(app.0, filter).await
    }

    /// Export the audit trail as CSV
    ///
    /// The same entries for a spreadsheet: with a header, by RFC 4180. The states before and after are JSON. A cell that a spreadsheet would take for
    /// a formula begins with an apostrophe.
    #[oai(path = "/audit.csv", method = "get", operation_id = "export_audit_csv")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn export_csv(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
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
    ) -> Result<ExportedCsv, ApiError> {
        let filter = filter_of(username.0, server_id.0, action.0, since.0, until.0);
        export::export_csv(app.0, filter).await
    }

    /// Verify the newest entries of the audit trail
    ///
    /// Follows the hashes from entry to entry, and compares them with the checkpoints that management signed in the last day. Verify the whole
    /// trail, with its archives, with `vpnmanager-management audit-verify`, and do so elsewhere where you do not trust this management.
    #[oai(path = "/audit/verify", method = "post", operation_id = "verify_audit")]
    async fn verify(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        body: Json<VerificationRequest>,
    ) -> Result<Json<Verification>, ApiError> {
        verify::verify(app.0, &body.0).await.map(Json)
    }
}

fn filter_of(
    username: Option<UsernameText>,
    server_id: Option<ServerIdText>,
    action: Option<ActionText>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> AuditFilter {
    AuditFilter {
        username: username.map(|name| name.0.to_string()),
        server_id: server_id.map(|id| id.0.to_string()),
        action: action.map(|action| action.0),
        since: since.map(Timestamp::to_utc),
        until: until.map(Timestamp::to_utc),
    }
}

impl AuditEntry {
    fn of(row: audit_log::Model) -> Self {
        let state = shown::state_by(&row.actor);
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
