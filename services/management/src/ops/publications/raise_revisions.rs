//! Raises users above revisions that a node or the stream holds and PostgreSQL does not know, because it was restored from an older dump.
//! PostgreSQL is right: its state gets a revision above the one that was seen. The audit trail records it.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use serde_json::json;
use vpnmanager_nats::{
    ids::{Revision, UserKey},
    username::Username,
};

use crate::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
    },
};

/// By what nodes say a user is raised at most once in this time. A node may say it again and again, and each time would cost a row of the audit
/// trail and a publication for each node of the user. A command that is not applied is published again each minute, so an honest node is
/// heard later.
const PAUSE: Duration = Duration::from_secs(600);
/// And at most so often in a day: each of its nodes may hold a newer revision than the one before.
const A_DAY: i64 = 3;

/// A revision that a node or the stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The user.
    pub user: UserKey,
    /// The revision.
    pub holds: Revision,
}

/// Raises users above these revisions, which the stream holds, in its own transaction. Only management writes the stream.
pub async fn raise_revisions(db: &DatabaseConnection, seen: &[Seen], recorder: &str) -> Result<(), DbErr> {
    if seen.is_empty() {
        return Ok(());
    }
    transact(
        db,
        |tx| async move { raise_within(&tx, seen, Trust::Whole, recorder).await },
    )
    .await
}

/// Raises users above these revisions, which nodes say they hold, in the transaction of the caller; each user at most once in ten minutes and three times in a day.
/// `domain::acks::outruns` decides which of them are believed.
pub async fn raise_for_nodes(transaction: &DatabaseTransaction, seen: &[Seen], recorder: &str) -> Result<(), DbErr> {
    if seen.is_empty() {
        return Ok(());
    }
    raise_within(transaction, seen, Trust::Little, recorder).await
}

/// How often somebody is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Always.
    Whole,
    /// Not about users who were raised lately, or often.
    Little,
}

/// Raises users above these revisions.
async fn raise_within(
    transaction: &DatabaseTransaction,
    seen: &[Seen],
    trust: Trust,
    recorder: &str,
) -> Result<(), DbErr> {
    let raised = raise_users(transaction, seen, trust).await?;
    if raised.is_empty() {
        return Ok(());
    }
    // Whoever has access according to the node or the stream, and none according to the database.
    let (without, with): (Vec<&Raised>, Vec<&Raised>) = raised.iter().partition(|user| user.ends_access);
    for (users, urgency) in [(without, Urgency::EndsAccess), (with, Urgency::Ordinary)] {
        let ids: Vec<i64> = users.iter().map(|user| user.id).collect();
        want_newest(transaction, &ids, urgency).await?;
    }
    // Each is recorded, also when the node has no room in the trail: the pause of the next one counts from its entry.
    let entries = raised.iter().map(|user| {
        Entry::new(&Actor::system(), AuditAction::UserRevisionRaised, recorder)
            .about(&user.username)
            .details("a node or the stream holds a newer revision than the database: was the database restored from an older dump?")
            .before(json!({ "revision": user.recorded, "seen": user.holds }))
            .after(json!({ "revision": user.revision }))
    });
    audit::record_all(transaction, entries).await
}

#[derive(FromQueryResult)]
struct Raised {
    id: i64,
    username: Username,
    recorded: i64,
    holds: i64,
    revision: i64,
    /// Suspended, over the quota, expired or removed.
    ends_access: bool,
}

async fn raise_users(transaction: &DatabaseTransaction, seen: &[Seen], trust: Trust) -> Result<Vec<Raised>, DbErr> {
    let keys: Vec<uuid::Uuid> = seen.iter().map(|seen| seen.user.0).collect();
    let holds: Vec<i64> = seen.iter().map(|seen| seen.holds.0).collect();
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH seen AS (SELECT key, max(holds) AS holds FROM UNNEST($1::uuid[], $2::bigint[]) AS s (key, holds) GROUP BY key),
         outrun AS (
             SELECT u.id, u.revision AS recorded, seen.holds FROM users u JOIN seen ON seen.key = u.key
             WHERE u.revision < seen.holds AND ($3 OR (
                 SELECT count(*) < $6 AND COALESCE(max(a.timestamp) <= now() - make_interval(secs => $5), true) FROM audit_log a
                 WHERE a.username = u.username AND a.action = $4 AND a.timestamp > now() - interval '1 day'))
             ORDER BY u.id FOR UPDATE OF u)
         UPDATE users u SET revision = outrun.holds + 1, synced = false FROM outrun WHERE u.id = outrun.id
         RETURNING u.id, u.username, outrun.recorded, outrun.holds, u.revision,
                   (NOT u.active OR u.over_quota_since IS NOT NULL OR u.removed_at IS NOT NULL
                    OR COALESCE(u.expires_at <= now(), false)) AS ends_access",
        [
            keys.into(),
            holds.into(),
            (trust == Trust::Whole).into(),
            AuditAction::UserRevisionRaised.as_str().into(),
            PAUSE.as_secs_f64().into(),
            A_DAY.into(),
        ],
    );
    Raised::find_by_statement(statement).all(transaction).await
}
