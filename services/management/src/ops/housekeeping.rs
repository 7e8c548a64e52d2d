//! Deletes what nobody needs any more, in small batches, and makes the partitions of the months to come.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};

/// How many months after this one the audit trail has partitions for. A management that is away for longer loses nothing: the default
/// partition takes the rows until it is back.
const MONTHS_AHEAD: i32 = 3;
/// Rows that one statement deletes, so that none keeps rows locked for long.
const BATCH: u64 = 1000;

/// Makes the partitions of this month and the next ones, where they are missing. Replicas may do this at once.
pub async fn make_audit_partitions(db: &DatabaseConnection) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT audit_log_make_partitions($1)",
        [MONTHS_AHEAD.into()],
    );
    db.execute_raw(statement).await.map(drop)
}

/// The tables that have rows to delete, with the statement that deletes up to `$2` of those older than `$1` seconds.
const OLD_ROWS: [(&str, Age, &str); 4] = [
    (
        "health_history",
        Age::History,
        // The index begins with the node, so each node's oldest rows are looked up.
        "DELETE FROM health_history WHERE id IN (
             SELECT h.id FROM servers s CROSS JOIN LATERAL (
                 SELECT id FROM health_history WHERE server_id = s.name AND at < now() - make_interval(secs => $1)
                 ORDER BY at LIMIT $2) h
             LIMIT $2)",
    ),
    (
        "recorded_events",
        Age::Events,
        "DELETE FROM recorded_events WHERE event_id IN (
             SELECT event_id FROM recorded_events WHERE recorded_at < now() - make_interval(secs => $1) ORDER BY recorded_at LIMIT $2)",
    ),
    (
        "audit_room",
        Age::Room,
        "DELETE FROM audit_room WHERE (server_id, action) IN (
             SELECT server_id, action FROM audit_room
             WHERE left_out = 0 AND refilled_at < now() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)",
    ),
    (
        "intents",
        Age::Intents,
        "DELETE FROM intents WHERE id IN (
             SELECT id FROM intents WHERE created_at < now() - make_interval(secs => $1) ORDER BY created_at LIMIT $2)",
    ),
];

/// After what time rows of a table are of no use.
#[derive(Debug, Clone, Copy)]
enum Age {
    /// The setting.
    History,
    /// The stream of events holds one for 7 days.
    Events,
    /// The room of a node is full again after an hour.
    Room,
    /// Answers to local requests: a node repeats a request until it has the answer, so one that is this old is known to its node, or was
    /// asked for by one that has been away for as long, and that is told then that the name is taken.
    Intents,
}

impl Age {
    fn duration(self, keep_history: Duration) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        match self {
            Self::History => keep_history,
            Self::Events => DAY * 30,
            Self::Room => DAY,
            Self::Intents => DAY * 7,
        }
    }
}

/// Deletes a batch of each table, and says whether there may be more.
pub async fn delete_old_rows(db: &DatabaseConnection, keep_history: Duration) -> Result<bool, DbErr> {
    let mut more = false;
    for (table, age, delete) in OLD_ROWS {
        let seconds = age.duration(keep_history).as_secs_f64();
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let statement =
            Statement::from_sql_and_values(db.get_database_backend(), delete, [seconds.into(), limit.into()]);
        let deleted = db.execute_raw(statement).await?.rows_affected();
        if deleted > 0 {
            tracing::debug!(table, rows = deleted, "Deleted old rows");
        }
        more |= deleted >= BATCH;
    }
    Ok(more)
}

#[derive(FromQueryResult)]
struct Name {
    name: String,
}

/// The partitions of the audit trail that ended this long ago and are still in the database, the oldest first.
pub async fn unarchived(db: &DatabaseConnection, archive_after: Duration) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT name FROM audit_log_partitions() WHERE ends_at < now() - make_interval(secs => $1) ORDER BY ends_at",
        [archive_after.as_secs_f64().into()],
    );
    let names = Name::find_by_statement(statement).all(db).await?;
    Ok(names.into_iter().map(|row| row.name).collect())
}
