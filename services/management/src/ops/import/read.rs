//! Reads what was imported.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait, FromQueryResult, Statement};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;
use vpnmanager_entities::import;
use vpnmanager_nats::ids::NodeId;

use crate::{
    domain::import::report::{Counts, Report},
    ops::count::count,
};

/// An import, and its report.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The row.
    pub row: import::Model,
    /// What it holds as JSON.
    pub report: Report,
}

/// An import, without its report: that has thousands of entries, and a page has a thousand imports.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its id.
    pub id: Uuid,
    /// The node that the source is of.
    pub server_id: NodeId,
    /// What the source is called.
    pub source: String,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
    /// Who imported it.
    pub actor: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was done.
    pub finished_at: DateTime<Utc>,
    /// How many entries came to what.
    pub counts: Counts,
}

/// Reads one import.
pub async fn get_import(db: &DatabaseConnection, id: Uuid) -> Result<Option<Recorded>, DbErr> {
    let found = import::Entity::find_by_id(id).one(db).await?;
    let recorded = found.map(|row| {
        let report = of_json(row.report.clone())?;
        Ok(Recorded { row, report })
    });
    recorded.transpose()
}

#[derive(FromQueryResult)]
struct Row {
    id: Uuid,
    server_id: NodeId,
    source: String,
    sha256: String,
    actor: String,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    counts: Value,
}

/// Reads at most `limit` imports, the newest first, starting below the one with the id `before`, as text.
pub async fn list_imports(db: &DatabaseConnection, before: Option<String>, limit: u64) -> Result<Vec<Listed>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT i.id, i.server_id, i.source, i.sha256, i.actor, i.started_at, i.finished_at, i.report->'counts' AS counts
         FROM imports i WHERE $1::text IS NULL OR i.id::text < $1 ORDER BY i.id DESC LIMIT $2",
        [before.into(), count(limit).into()],
    );
    let rows = Row::find_by_statement(statement).all(db).await?;
    let listed = rows.into_iter().map(|row| {
        Ok(Listed {
            id: row.id,
            server_id: row.server_id,
            source: row.source,
            sha256: row.sha256,
            actor: row.actor,
            started_at: row.started_at,
            finished_at: row.finished_at,
            counts: of_json(row.counts)?,
        })
    });
    listed.collect()
}

fn of_json<T: DeserializeOwned>(json: Value) -> Result<T, DbErr> {
    serde_json::from_value(json).map_err(|error| DbErr::Json(error.to_string()))
}
