//! Reads the audit trail.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use vpnmanager_entities::audit_log;

use crate::{app::App, domain::audit_action::AuditAction};

/// Which entries to list; an entry must match all fields that are set.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Entries about this user.
    pub username: Option<String>,
    /// Entries about this node, or recorded by this management replica.
    pub server_id: Option<String>,
    /// Entries with this action.
    pub action: Option<AuditAction>,
    /// Entries at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Entries before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Reads at most `limit` entries, newest first, starting below the row with the id `before`.
pub async fn read_audit(
    app: &App,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<audit_log::Model>, DbErr> {
    let mut query = audit_log::Entity::find()
        .order_by_desc(audit_log::Column::Id)
        .limit(limit);
    if let Some(before) = before {
        query = query.filter(audit_log::COLUMN.id.lt(before));
    }
    if let Some(username) = &filter.username {
        query = query.filter(audit_log::COLUMN.username.eq(username.as_str()));
    }
    if let Some(server_id) = &filter.server_id {
        query = query.filter(audit_log::COLUMN.server_id.eq(server_id.as_str()));
    }
    if let Some(action) = filter.action {
        query = query.filter(audit_log::COLUMN.action.eq(action.as_str()));
    }
    if let Some(since) = filter.since {
        query = query.filter(audit_log::COLUMN.timestamp.gte(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(audit_log::COLUMN.timestamp.lt(until));
    }
    query.all(&app.db).await
}
