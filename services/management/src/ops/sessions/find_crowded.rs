//! Finds users with more sessions that may live than they are allowed devices at the same time. Whether one of them has to end, says
//! [`find_excess`](super::find_excess).

use sea_orm::{DatabaseBackend, DatabaseConnection, DbErr, FromQueryResult, Statement};

use super::find_excess::TOLD_WITHIN;
use crate::ops::count::count;

#[derive(FromQueryResult)]
struct Least {
    least: Option<i16>,
}

#[derive(FromQueryResult)]
struct UserId {
    user_id: i64,
}

/// The rows of at most `most` such users, in their order, from the first after `after` on. Where neither a group nor a user has a limit, nothing is
/// read but the lowest one; otherwise the sessions that may live, by their index, however long the history is.
pub async fn find_crowded(db: &DatabaseConnection, after: i64, most: usize) -> Result<Vec<i64>, DbErr> {
    // It is the least of those that are not NULL.
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT LEAST((SELECT min(sessions) FROM groups),
             (SELECT min(own_sessions) FROM users WHERE own_sessions IS NOT NULL AND removed_at IS NULL)) AS least",
    );
    let least = Least::find_by_statement(statement).one(db).await?;
    let Some(least) = least.and_then(|row| row.least) else {
        return Ok(Vec::new());
    };
    let crowded = UserId::find_by_statement(query(after, least, most)).all(db).await?;
    Ok(crowded.into_iter().map(|row| row.user_id).collect())
}

/// The query of [`find_crowded`]; `least` is the lowest limit of all groups and users. What a lost node had stays open while it is away, and its users have
/// other sessions: without the bound on when a session was told of they would be found for ever.
pub fn query(after: i64, least: i16, most: usize) -> Statement {
    Statement::from_sql_and_values(
        DatabaseBackend::Postgres,
        "SELECT s.user_id FROM (
             SELECT user_id, count(*) AS open FROM sessions
             WHERE ended_at IS NULL AND end_answered_at IS NULL AND user_id > $1
               AND recorded_at > now() - make_interval(secs => $4)
             GROUP BY user_id HAVING count(*) > $2) AS s
         JOIN users u ON u.id = s.user_id JOIN groups g ON g.name = u.group_name
         WHERE s.open > COALESCE(u.own_sessions, g.sessions) ORDER BY s.user_id LIMIT $3",
        [
            after.into(),
            i64::from(least).into(),
            count(most).into(),
            TOLD_WITHIN.as_secs_f64().into(),
        ],
    )
}
