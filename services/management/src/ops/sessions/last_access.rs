//! When a session of a user, and of each of the user's credentials, was last seen alive.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::CommonName;

use crate::domain::session_history::{Change, last_alive};

/// A credential with which a session was seen alive.
struct Seen {
    at: DateTime<Utc>,
    /// Whether a session began or ended: that is noted at once.
    at_once: bool,
}

/// Notes when the living users of these sessions were last seen, and with which credentials, never later than `now` and never earlier than it
/// was noted. While a session goes on, it is noted once in a minute: neither row is written for each report.
///
/// Users are locked in the order of their ids, as everywhere, and then their credentials.
pub(super) async fn follow(
    transaction: &DatabaseTransaction,
    changes: &[Change],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let mut seen: BTreeMap<&CommonName, Seen> = BTreeMap::new();
    for Change { row, began, .. } in changes {
        let at = last_alive(row).min(now);
        let seen = seen.entry(&row.common_name).or_insert(Seen { at, at_once: false });
        seen.at = at.max(seen.at);
        seen.at_once |= *began || row.ended_at.is_some();
    }
    let (mut names, mut times, mut at_once) = (Vec::new(), Vec::new(), Vec::new());
    for (name, seen) in seen {
        names.push(name.to_string());
        times.push(seen.at);
        at_once.push(seen.at_once);
    }
    let users = lock_users(transaction, names.clone(), times.clone(), at_once).await?;
    if users.is_empty() {
        return Ok(());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH seen AS MATERIALIZED (
             SELECT c.id, c.user_id, s.at FROM UNNEST($1::text[], $2::timestamptz[]) AS s (name, at)
             JOIN credentials c ON c.common_name = s.name
             WHERE c.user_id = ANY($3) ORDER BY c.id FOR NO KEY UPDATE OF c),
         of_users AS (
             UPDATE users u SET last_access = newest.at
             FROM (SELECT user_id, max(at) AS at FROM seen GROUP BY user_id) AS newest
             WHERE u.id = newest.user_id AND (u.last_access IS NULL OR u.last_access < newest.at))
         UPDATE credentials c SET last_access = seen.at FROM seen
         WHERE c.id = seen.id AND (c.last_access IS NULL OR c.last_access < seen.at)",
        [names.into(), times.into(), users.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// The living users of those of these credentials of which something is to be noted, locked. Who is being changed is left out: the next
/// report of the session has it too, and whoever ends access must not wait behind many users of the history.
async fn lock_users(
    transaction: &DatabaseTransaction,
    names: Vec<String>,
    times: Vec<DateTime<Utc>>,
    at_once: Vec<bool>,
) -> Result<Vec<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id FROM users u
         WHERE u.removed_at IS NULL AND u.id IN (
             SELECT c.user_id FROM UNNEST($1::text[], $2::timestamptz[], $3::boolean[]) AS s (name, at, at_once)
             JOIN credentials c ON c.common_name = s.name
             WHERE c.last_access IS NULL
                OR c.last_access < CASE WHEN s.at_once THEN s.at ELSE s.at - interval '60 seconds' END)
         ORDER BY u.id FOR NO KEY UPDATE OF u SKIP LOCKED",
        [names.into(), times.into(), at_once.into()],
    );
    let users = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(users.into_iter().map(|user| user.id).collect())
}
