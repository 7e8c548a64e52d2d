//! Reads the audit trail.

use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Select, Statement, TransactionTrait, sea_query::Expr,
};
use vpnmanager_entities::audit_log;

use crate::{app::App, domain::audit_action::AuditAction};

/// Which entries to list; an entry must match all fields that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    let transaction = planned_anew(app).await?;
    let entries = query(filter, before, limit).all(&transaction).await?;
    transaction.commit().await?;
    Ok(entries)
}

/// Some actions and nodes have a million entries and others one. A plan for all of them alike, which PostgreSQL keeps after the fifth call, reads
/// through everybody's entries to find a rare one.
async fn planned_anew(app: &App) -> Result<DatabaseTransaction, DbErr> {
    let transaction = app.db.begin().await?;
    transaction
        .execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    Ok(transaction)
}

/// The query of [`read_audit`].
pub fn query(filter: &AuditFilter, before: Option<i64>, limit: u64) -> Select<audit_log::Entity> {
    let mut query = matching(filter).order_by_desc(audit_log::Column::Id).limit(limit);
    if let Some(before) = before {
        query = query.filter(audit_log::COLUMN.id.lt(before));
    }
    query
}

fn matching(filter: &AuditFilter) -> Select<audit_log::Entity> {
    let mut query = audit_log::Entity::find();
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

/// How far an export goes. What is recorded while it is written is not in it, so that no entry between others is left out.
#[derive(Debug, Clone)]
pub struct ExportEnd {
    /// The last place of each chain.
    places: String,
    /// The last checkpoint.
    checkpoint: i64,
}

#[derive(FromQueryResult)]
struct EndRow {
    places: Option<String>,
    checkpoint: i64,
}

impl ExportEnd {
    /// As it is now.
    pub async fn now(app: &App) -> Result<Self, DbErr> {
        let statement = Statement::from_string(
            app.db.get_database_backend(),
            "SELECT string_agg(seq::text, ', ' ORDER BY chain) AS places,
                    (SELECT COALESCE(max(number), 0) FROM audit_checkpoints) AS checkpoint
             FROM audit_chains",
        );
        let row = EndRow::find_by_statement(statement).one(&app.db).await?;
        Ok(Self {
            places: row.as_ref().and_then(|row| row.places.clone()).unwrap_or_default(),
            checkpoint: row.map_or(0, |row| row.checkpoint),
        })
    }

    /// The chains are numbered from 0 on, an array from 1 on.
    fn is_before(&self) -> Expr {
        Expr::cust(format!(
            "(chain IS NULL OR chain_seq <= (ARRAY[{}]::bigint[])[chain + 1])",
            self.places
        ))
    }
}

/// A line of an export.
#[derive(Debug, FromQueryResult)]
pub struct ExportLine {
    /// The entry's id, or the number of a checkpoint.
    pub id: i64,
    /// All its columns as JSON, as PostgreSQL writes them.
    pub line: String,
}

/// Reads at most `limit` entries as JSON, the oldest first, after the row with the id `after`.
pub async fn read_lines(
    app: &App,
    filter: &AuditFilter,
    end: &ExportEnd,
    after: i64,
    limit: u64,
) -> Result<Vec<ExportLine>, DbErr> {
    let transaction = planned_anew(app).await?;
    let query = following(filter, end, after, limit)
        .select_only()
        .column(audit_log::Column::Id)
        .column_as(Expr::cust("row_to_json(audit_log)::text"), "line");
    let lines = query.into_model::<ExportLine>().all(&transaction).await?;
    transaction.commit().await?;
    Ok(lines)
}

/// The same as rows.
pub async fn read_following(
    app: &App,
    filter: &AuditFilter,
    end: &ExportEnd,
    after: i64,
    limit: u64,
) -> Result<Vec<audit_log::Model>, DbErr> {
    let transaction = planned_anew(app).await?;
    let entries = following(filter, end, after, limit).all(&transaction).await?;
    transaction.commit().await?;
    Ok(entries)
}

fn following(filter: &AuditFilter, end: &ExportEnd, after: i64, limit: u64) -> Select<audit_log::Entity> {
    matching(filter)
        .filter(audit_log::COLUMN.id.gt(after))
        .filter(end.is_before())
        .order_by_asc(audit_log::Column::Id)
        .limit(limit)
}

/// Reads at most `limit` checkpoints as JSON, up to that of `end` and after the one with the number `after`.
pub async fn read_checkpoint_lines(
    app: &App,
    end: &ExportEnd,
    after: i64,
    limit: i64,
) -> Result<Vec<ExportLine>, DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT c.number AS id, row_to_json(c)::text AS line FROM audit_checkpoints c
         WHERE c.number > $1 AND c.number <= $2 ORDER BY c.number LIMIT $3",
        [after.into(), end.checkpoint.into(), limit.into()],
    );
    ExportLine::find_by_statement(statement).all(&app.db).await
}
