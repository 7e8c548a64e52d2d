//! Deletes what nobody needs any more, in small batches, and makes the partitions of the months to come.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, Statement};

use crate::{
    config::Config,
    ops::{count::count, idempotency::times::KNOWN_FOR},
};

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

/// Rows of one kind that are of no use after a time.
struct OldRows {
    table: &'static str,
    after: Duration,
    /// Deletes up to `$2` that are older than `$1` seconds, and none that another replica deletes at this moment.
    delete: &'static str,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long rows are kept whose time is a setting.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Samples of nodes' health.
    pub health: Duration,
    /// The history of sessions, counted from when management heard of a session last. Those that may live in the fleet are kept for longer.
    pub sessions: Duration,
    /// The traffic of a day.
    pub traffic: Duration,
}

impl Kept {
    /// As the configuration says.
    pub fn of(config: &Config) -> Self {
        Self {
            health: config.health.keep_history,
            sessions: config.history.sessions,
            traffic: config.history.traffic,
        }
    }
}

fn old_rows(kept: Kept) -> [OldRows; 11] {
    [
        OldRows {
            table: "health_history",
            after: kept.health,
            // The index begins with the node, so each node's oldest rows are looked up.
            delete: "WITH old AS MATERIALIZED (
                         SELECT h.id FROM servers s CROSS JOIN LATERAL (
                             SELECT id FROM health_history WHERE server_id = s.name AND at < now() - make_interval(secs => $1)
                             ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED) h
                         LIMIT $2)
                     DELETE FROM health_history t USING old WHERE t.id = old.id",
        },
        OldRows {
            table: "sessions",
            after: kept.sessions,
            // No index has the time of recording. What was recorded last then began then or before, and few that began before live on. Of
            // one whose end is not known its node may tell yet, with all its bytes: what it counted already must not be forgotten.
            delete: "WITH old AS MATERIALIZED (
                         SELECT since, cid, server_id FROM sessions s
                         WHERE since < now() - make_interval(secs => $1) AND recorded_at < now() - make_interval(secs => $1)
                           AND (ended_at IS NOT NULL OR NOT EXISTS (SELECT FROM servers n WHERE n.name = s.server_id))
                         ORDER BY since LIMIT $2 FOR UPDATE OF s SKIP LOCKED)
                     DELETE FROM sessions t USING old WHERE t.since = old.since AND t.cid = old.cid AND t.server_id = old.server_id",
        },
        OldRows {
            table: "traffic_days",
            after: kept.traffic,
            // What counts against a quota of this month stays.
            delete: "WITH old AS MATERIALIZED (
                         SELECT day, user_id, server_id FROM traffic_days
                         WHERE day < (now() AT TIME ZONE 'UTC' - GREATEST(make_interval(secs => $1), CASE
                             WHEN EXISTS (SELECT FROM groups WHERE traffic_bytes IS NOT NULL)
                               OR EXISTS (SELECT FROM users WHERE own_traffic_bytes IS NOT NULL AND removed_at IS NULL)
                             THEN interval '32 days' END))::date
                         ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM traffic_days t USING old
                     WHERE t.day = old.day AND t.user_id = old.user_id AND t.server_id = old.server_id",
        },
        OldRows {
            table: "recorded_events",
            // The stream of events holds one for 7 days.
            after: DAY * 30,
            delete: "WITH old AS MATERIALIZED (
                         SELECT event_id FROM recorded_events WHERE recorded_at < now() - make_interval(secs => $1)
                         ORDER BY recorded_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM recorded_events t USING old WHERE t.event_id = old.event_id",
        },
        OldRows {
            table: "audit_room",
            // The room of a node is full again after an hour.
            after: DAY,
            delete: "WITH old AS MATERIALIZED (
                         SELECT server_id, action FROM audit_room
                         WHERE left_out = 0 AND refilled_at < now() - make_interval(secs => $1) LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM audit_room t USING old WHERE t.server_id = old.server_id AND t.action = old.action",
        },
        OldRows {
            table: "intents",
            // Answers to local requests: a node repeats a request until it has the answer, so one that is this old is known to its node, or
            // was asked for by one that has been away for as long, and that is told then that the name is taken.
            after: DAY * 7,
            delete: "WITH old AS MATERIALIZED (
                         SELECT id FROM intents WHERE created_at < now() - make_interval(secs => $1)
                         ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM intents t USING old WHERE t.id = old.id",
        },
        OldRows {
            table: "profile_links",
            // One that was used up or revoked is kept until its time would have been over, which is a week at most.
            after: DAY * 30,
            delete: "WITH old AS MATERIALIZED (
                         SELECT id FROM profile_links WHERE expires_at < now() - make_interval(secs => $1)
                         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM profile_links t USING old WHERE t.id = old.id",
        },
        OldRows {
            table: "idempotency_keys",
            after: KNOWN_FOR,
            delete: "WITH old AS MATERIALIZED (
                         SELECT caller, key_hash FROM idempotency_keys WHERE created_at < now() - make_interval(secs => $1)
                         ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM idempotency_keys t USING old WHERE t.caller = old.caller AND t.key_hash = old.key_hash",
        },
        OldRows {
            table: "webhook_deliveries",
            // Nothing is sent for longer than three days.
            after: DAY * 10,
            delete: "WITH old AS MATERIALIZED (
                         SELECT id FROM webhook_deliveries
                         WHERE next_attempt_at IS NULL AND created_at < now() - make_interval(secs => $1)
                         ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM webhook_deliveries t USING old WHERE t.id = old.id",
        },
        OldRows {
            table: "certificates",
            // That of a file which no replica has found for so long, one in whose place there has been another one for so long, and one that ended
            // so long ago. That of a node is deleted with it.
            after: DAY * 30,
            delete: "WITH old AS MATERIALIZED (
                         SELECT id FROM certificates
                         WHERE LEAST(replaced_at, not_after, CASE WHEN kind <> 'node' THEN seen_at END) < now() - make_interval(secs => $1)
                         ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
                     DELETE FROM certificates t USING old WHERE t.id = old.id",
        },
        OldRows {
            table: "rollouts",
            // The last one of a pool stays until the next, or until the pool is deleted.
            after: DAY * 30,
            delete: "WITH old AS MATERIALIZED (
                         SELECT id FROM rollouts r
                         WHERE ended_at < now() - make_interval(secs => $1) AND NOT EXISTS (SELECT FROM pools p WHERE p.id = r.pool_id)
                         ORDER BY id LIMIT $2 FOR UPDATE OF r SKIP LOCKED)
                     DELETE FROM rollouts t USING old WHERE t.id = old.id",
        },
    ]
}

/// Deletes a batch of each table, and says whether there may be more for this replica. Replicas may do this at once: each takes other rows. A
/// table that fails holds up no other one.
///
/// # Errors
/// The first one, after all tables were tried.
pub async fn delete_old_rows(db: &DatabaseConnection, kept: Kept) -> Result<bool, DbErr> {
    let mut more = false;
    let mut failed = None;
    for OldRows { table, after, delete } in old_rows(kept) {
        let statement = Statement::from_sql_and_values(
            db.get_database_backend(),
            delete,
            [after.as_secs_f64().into(), count(BATCH).into()],
        );
        match db.execute_raw(statement).await {
            Ok(result) => {
                let deleted = result.rows_affected();
                if deleted > 0 {
                    tracing::debug!(table, rows = deleted, "Deleted old rows");
                }
                more |= deleted >= BATCH;
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(more), Err)
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
