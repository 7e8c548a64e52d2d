//! Reads the audit trail.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, TransactionTrait};
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
    /// Entries recorded at or after this time; months before it are not read.
    pub since: Option<DateTime<Utc>>,
    /// Entries recorded before this time; months after it are not read.
    pub until: Option<DateTime<Utc>>,
}

/// Reads at most `limit` entries, newest first, starting below the row with the id `before`.
pub async fn read_audit(
    app: &App,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<audit_log::Model>, DbErr> {
    // Some actions and nodes have a million entries and others one. A plan for all of them alike, which PostgreSQL keeps after the fifth
    // call, reads through everybody's entries to find a rare one.
    let transaction = app.db.begin().await?;
    transaction
        .execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    let entries = query(filter, before, limit).all(&transaction).await?;
    transaction.commit().await?;
    Ok(entries)
}

/// The query of [`read_audit`].
pub fn query(filter: &AuditFilter, before: Option<i64>, limit: u64) -> Select<audit_log::Entity> {
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
    query
}
