//! Records whether a replica hears nodes, and says since when management has heard them: since the first of its replicas that hear has.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

use crate::app::App;

/// A replica that has not said for so long that it hears does not count: it says so each second.
const SAID_WITHIN: Duration = Duration::from_secs(5);

/// Records that this replica has heard, and recorded, all that nodes sent for so long. By the clock of the database, whose time is
/// returned: those of replicas differ.
pub async fn note_hearing(
    db: &impl ConnectionTrait,
    replica: &str,
    heard_for: Duration,
) -> Result<DateTime<Utc>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "INSERT INTO replicas AS r (server_id, deaf_at, heard_since, heard_at)
             VALUES ($1, now() - make_interval(secs => $2), now() - make_interval(secs => $2), now())
         ON CONFLICT (server_id) DO UPDATE SET heard_since = EXCLUDED.heard_since, heard_at = EXCLUDED.heard_at
         RETURNING now()",
        [replica.into(), heard_for.as_secs_f64().into()],
    );
    time_of(db, statement).await
}

/// Records that this replica missed, until now, what nodes sent, or could not record it.
pub async fn note_deafness(db: &impl ConnectionTrait, replica: &str) -> Result<DateTime<Utc>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "INSERT INTO replicas (server_id, deaf_at) VALUES ($1, now())
         ON CONFLICT (server_id) DO UPDATE SET deaf_at = EXCLUDED.deaf_at, heard_since = NULL, heard_at = NULL
         RETURNING now()",
        [replica.into()],
    );
    time_of(db, statement).await
}

async fn time_of(db: &impl ConnectionTrait, returning: Statement) -> Result<DateTime<Utc>, DbErr> {
    let row = db.query_one_raw(returning).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the time of the database".to_owned()))?;
    row.try_get("", "now")
}

#[derive(FromQueryResult)]
struct Elsewhere {
    heard_ms: Option<i64>,
}

/// Since when management has heard, and recorded, what nodes sent: this replica, or another one that says that it hears. One that is deaf
/// keeps nobody else from judging. By the clock of this machine.
pub async fn heard_since(app: &App) -> Result<DateTime<Utc>, DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT (EXTRACT(EPOCH FROM now() - min(heard_since)) * 1000)::bigint AS heard_ms FROM replicas
         WHERE server_id <> $1 AND heard_at > now() - make_interval(secs => $2)",
        [app.config.server_id.clone().into(), SAID_WITHIN.as_secs_f64().into()],
    );
    let elsewhere = Elsewhere::find_by_statement(statement).one(&app.db).await?;
    // After the database was asked: time that passes unnoticed meanwhile is found.
    let is_continuous = app.hearing.look();
    let here = app.hearing.since();
    let heard_ms = elsewhere.and_then(|elsewhere| elsewhere.heard_ms);
    Ok(match heard_ms {
        // What is read after a gap, or was just before it, may be as old as the gap.
        Some(heard_ms) if is_continuous => here.min(Utc::now() - TimeDelta::milliseconds(heard_ms)),
        Some(_) | None => here,
    })
}
