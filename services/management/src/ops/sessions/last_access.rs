//! When a session of a user was last seen.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement};

use crate::domain::session_history::Change;

/// Notes when the living users of these sessions were last seen, never later than `now` and never earlier than it was noted. While a session
/// goes on, it is noted once in a minute: the row of a user is not written for each report.
///
/// Users are locked in the order of their ids, as everywhere.
pub(super) async fn follow(
    transaction: &DatabaseTransaction,
    changes: &[Change],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let mut seen: BTreeMap<i64, (DateTime<Utc>, bool)> = BTreeMap::new();
    for Change { row, began, .. } in changes {
        let Some(user) = row.user_id else {
            continue;
        };
        let at = row.seen_at.min(now);
        let (newest, at_once) = seen.entry(user).or_insert((at, false));
        *newest = at.max(*newest);
        *at_once |= *began || row.ended_at.is_some();
    }
    if seen.is_empty() {
        return Ok(());
    }
    let (mut users, mut times, mut at_once) = (Vec::new(), Vec::new(), Vec::new());
    for (user, (at, is_event)) in seen {
        users.push(user);
        times.push(at);
        at_once.push(is_event);
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH later AS MATERIALIZED (
             SELECT u.id, s.at FROM users u
             JOIN UNNEST($1::bigint[], $2::timestamptz[], $3::boolean[]) AS s (id, at, at_once) ON s.id = u.id
             WHERE u.removed_at IS NULL
               AND (u.last_access IS NULL
                    OR u.last_access < CASE WHEN s.at_once THEN s.at ELSE s.at - interval '60 seconds' END)
             ORDER BY u.id FOR NO KEY UPDATE OF u)
         UPDATE users u SET last_access = later.at FROM later WHERE u.id = later.id",
        [users.into(), times.into(), at_once.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
