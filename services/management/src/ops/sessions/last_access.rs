//! When a session of a user, and of each of the user's credentials, was last seen alive.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::{CommonName, NodeId};

use crate::domain::session_history::{Change, last_alive};

/// A credential with which a session was seen alive.
struct Seen {
    at: DateTime<Utc>,
    /// Whether a session began or ended: that is noted at once.
    at_once: bool,
}

/// What is to be noted of certificates: names, when, whether at once; and, of those of old servers, the nodes.
#[derive(Default)]
struct Noted {
    names: Vec<String>,
    nodes: Vec<String>,
    times: Vec<DateTime<Utc>>,
    at_once: Vec<bool>,
}

impl Noted {
    fn of<'a>(seen: impl Iterator<Item = ((&'a NodeId, &'a CommonName), Seen)>) -> Self {
        let mut noted = Self::default();
        for ((node, name), seen) in seen {
            noted.names.push(name.to_string());
            noted.nodes.push(node.to_string());
            noted.times.push(seen.at);
            noted.at_once.push(seen.at_once);
        }
        noted
    }
}

/// Notes when the living users of these sessions were last seen, and with which credentials or certificates of old servers, never later than `now`
/// and never earlier than it was noted. While a session goes on, it is noted once in a minute: neither row is written for each report.
///
/// Users are locked in the order of their ids, as everywhere, and then their credentials.
pub(super) async fn follow(
    transaction: &DatabaseTransaction,
    changes: &[Change],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    // A credential is seen on several nodes; only sessions with a certificate of an old server have a user and no device.
    let mut seen: BTreeMap<&CommonName, (&NodeId, Seen)> = BTreeMap::new();
    let mut of_old: BTreeMap<(&NodeId, &CommonName), Seen> = BTreeMap::new();
    for Change { row, began, .. } in changes {
        let at = last_alive(row).min(now);
        let first = Seen { at, at_once: false };
        let seen = match row.device {
            Some(_) => &mut seen.entry(&row.common_name).or_insert((&row.server_id, first)).1,
            None => of_old.entry((&row.server_id, &row.common_name)).or_insert(first),
        };
        seen.at = at.max(seen.at);
        seen.at_once |= *began || row.ended_at.is_some();
    }
    let credentials = Noted::of(seen.into_iter().map(|(name, (node, seen))| ((node, name), seen)));
    let old = Noted::of(of_old.into_iter());
    let users = lock_users(transaction, &credentials, &old).await?;
    if users.is_empty() {
        return Ok(());
    }
    note_credentials(transaction, credentials, users.clone()).await?;
    if old.names.is_empty() {
        return Ok(());
    }
    note_old_certificates(transaction, old, users).await
}

async fn note_credentials(transaction: &DatabaseTransaction, seen: Noted, users: Vec<i64>) -> Result<(), DbErr> {
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
        [seen.names.into(), seen.times.into(), users.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

async fn note_old_certificates(transaction: &DatabaseTransaction, seen: Noted, users: Vec<i64>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH seen AS MATERIALIZED (
             SELECT o.id, o.user_id, s.at FROM UNNEST($1::text[], $2::text[], $3::timestamptz[]) AS s (node, name, at)
             JOIN old_certificates o ON o.server_id = s.node AND o.common_name = s.name AND o.revoked_at IS NULL
             WHERE o.user_id = ANY($4) ORDER BY o.id FOR NO KEY UPDATE OF o),
         of_users AS (
             UPDATE users u SET last_access = newest.at
             FROM (SELECT user_id, max(at) AS at FROM seen GROUP BY user_id) AS newest
             WHERE u.id = newest.user_id AND (u.last_access IS NULL OR u.last_access < newest.at))
         UPDATE old_certificates o SET last_access = seen.at FROM seen
         WHERE o.id = seen.id AND (o.last_access IS NULL OR o.last_access < seen.at)",
        [seen.nodes.into(), seen.names.into(), seen.times.into(), users.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// The living users of those of these certificates of which something is to be noted, locked. Who is being changed is left out: the next
/// report of the session has it too, and whoever ends access must not wait behind many users of the history.
async fn lock_users(transaction: &DatabaseTransaction, credentials: &Noted, old: &Noted) -> Result<Vec<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id FROM users u
         WHERE u.removed_at IS NULL AND u.id IN (
             SELECT c.user_id FROM UNNEST($1::text[], $2::timestamptz[], $3::boolean[]) AS s (name, at, at_once)
             JOIN credentials c ON c.common_name = s.name
             WHERE c.last_access IS NULL
                OR c.last_access < CASE WHEN s.at_once THEN s.at ELSE s.at - interval '60 seconds' END
             UNION
             SELECT o.user_id FROM UNNEST($4::text[], $5::text[], $6::timestamptz[], $7::boolean[]) AS s (node, name, at, at_once)
             JOIN old_certificates o ON o.server_id = s.node AND o.common_name = s.name AND o.revoked_at IS NULL
             WHERE o.last_access IS NULL
                OR o.last_access < CASE WHEN s.at_once THEN s.at ELSE s.at - interval '60 seconds' END)
         ORDER BY u.id FOR NO KEY UPDATE OF u SKIP LOCKED",
        [
            credentials.names.clone().into(),
            credentials.times.clone().into(),
            credentials.at_once.clone().into(),
            old.nodes.clone().into(),
            old.names.clone().into(),
            old.times.clone().into(),
            old.at_once.clone().into(),
        ],
    );
    let users = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(users.into_iter().map(|user| user.id).collect())
}
