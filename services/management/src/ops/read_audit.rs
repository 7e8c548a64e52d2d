//! Reading the audit trail.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use vpnmanager_entities::audit_log;

use crate::app::App;

/// Which rows to list; all when empty.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// About this user.
    pub username: Option<String>,
    /// Recorded at, or about, this server.
    pub server_id: Option<String>,
    /// Of this kind.
    pub action: Option<String>,
    /// At or after.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
}

/// Rows before the row `before`, newest first, at most `limit`.
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
    if let Some(action) = &filter.action {
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
