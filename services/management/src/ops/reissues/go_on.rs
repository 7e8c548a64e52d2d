//! Carries out what was asked for: new credentials for all users of a node, some users at a time.

use std::time::Duration;

use chrono::Utc;
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{LockBehavior, LockType},
};
use serde_json::Value;
use tracing::{info, warn};
use vpnmanager_entities::{
    credential,
    node_reissue::{self, Column},
    user,
};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{now, snapshot};
use crate::{
    app::App,
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        renewal::{Cause, renewals},
    },
    ops::{
        audit::{self, Entry},
        credentials::renew::{Renewed, Renewing},
        sqlstate::{Meaning, meaning},
        transact::transact,
    },
};

/// Users of one transaction: whoever wants to change one of them waits for so many at most.
const BATCH: i64 = 100;
/// How many of the users who still have to come are looked at for a batch.
const LOOKED_AT: i64 = 1_000;
/// The most names of users that failed.
const MOST_NAMED: usize = 10;
/// A command that ends access and was not sent for so many seconds is for a server that does not answer.
const UNANSWERED_AFTER: f64 = 1.0;

/// It lets commands that end access go first for this long at most: more and more of them may come.
const YIELDS_FOR: Duration = Duration::from_secs(5);

static FAILED: LogLimit = LogLimit::lines("a user got no new credentials", 5);

/// What is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Some users had their turn; there may be more.
    More,
    /// There is more, which has to wait for a moment: somebody else is changing the users who are left, or commands that end access are not
    /// sent yet, and what comes later would overtake them.
    Busy,
}

/// Why users had no turn.
#[derive(Debug, thiserror::Error)]
enum StepError {
    /// They were not found.
    #[error("finding the next users failed")]
    Find(#[from] DbErr),
    /// What was to be written of them was not taken.
    #[error("giving users new credentials failed")]
    Renew {
        node: NodeId,
        users: Vec<i64>,
        source: DbErr,
    },
}

/// Gives new credentials to up to 100 users of one node: where older profiles are revoked comes first, and then what was asked for first. Users
/// whom somebody else is changing are left for later. All replicas may run this at the same time: each takes another node. A user of whom the
/// database refuses the change holds up no other: that one counts as failed.
///
/// # Errors
/// The database failed, or refuses the change of each of several users: nobody had a turn.
pub async fn reissue_some(app: &App) -> Result<Left, DbErr> {
    let left = match transact(&app.db, |tx| async move { step(&tx, app).await }).await {
        Ok(left) => left,
        Err(StepError::Renew { node, users, source }) if is_about_one(meaning(&source)) => {
            each_apart(app, &node, &users).await?;
            Left::More
        }
        Err(StepError::Renew { source: error, .. } | StepError::Find(error)) => return Err(error),
    };
    if left == Left::More {
        app.wake_publishers();
    }
    Ok(left)
}

/// Whether what the database said is about the row of a user, so that others may have their turn. A mistake of ours too: it may be about the
/// data of one user, and whoever asked must learn that it failed.
fn is_about_one(meaning: Meaning) -> bool {
    match meaning {
        Meaning::BadValue | Meaning::Contradiction | Meaning::Fault => true,
        Meaning::Lost
        | Meaning::InUse
        | Meaning::ReadOnly
        | Meaning::Exhausted(_)
        | Meaning::TooSlow
        | Meaning::Away
        | Meaning::NotAllowed => false,
    }
}

async fn step(transaction: &DatabaseTransaction, app: &App) -> Result<Left, StepError> {
    let mut busy: Vec<NodeId> = Vec::new();
    loop {
        let Some(job) = next_job(transaction, &busy).await? else {
            return Ok(if busy.is_empty() { Left::Nothing } else { Left::Busy });
        };
        let has_waited = (Utc::now() - job.turn_at)
            .to_std()
            .is_ok_and(|waited| waited >= YIELDS_FOR);
        if !has_waited && is_urgent_unsent(transaction).await? {
            return Ok(Left::Busy);
        }
        let node = job.server_id.clone();
        let users = next_users(transaction, &node).await?;
        if users.is_empty() {
            match end_if_done(transaction, job).await? {
                Left::Busy => busy.push(node),
                left @ (Left::Nothing | Left::More) => return Ok(left),
            }
            continue;
        }
        return match renew(transaction, app, job, &users).await {
            Ok(()) => Ok(Left::More),
            Err(source) => Err(StepError::Renew { node, users, source }),
        };
    }
}

/// The next node, locked, without those that are busy. The lock is the lease: it ends with whoever has it.
async fn next_job(transaction: &DatabaseTransaction, busy: &[NodeId]) -> Result<Option<node_reissue::Model>, DbErr> {
    node_reissue::Entity::find()
        .filter(node_reissue::COLUMN.ended_at.is_null())
        .filter(Column::ServerId.is_not_in(busy.iter().cloned()))
        // `revoke` comes before `keep`.
        .order_by_desc(Column::OldProfiles)
        .order_by_asc(Column::StartedAt)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(transaction)
        .await
}

#[derive(FromQueryResult)]
struct Waiting {
    waits: bool,
}

/// Whether a command that ends access waits to be sent to a node that may answer. The newest are sent first
/// ([`ask_directly`](crate::ops::publications::ask_directly)): more of them now would overtake it.
async fn is_urgent_unsent(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT EXISTS (
             SELECT FROM servers s WHERE s.state NOT IN ('stale', 'lost') AND EXISTS (
                 SELECT FROM placements p
                 WHERE p.server_id = s.name AND p.urgent_since > now() - make_interval(secs => $1)
                   AND p.asked_at IS NULL AND p.applied_revision < p.wanted_revision)) AS waits",
        [UNANSWERED_AFTER.into()],
    );
    let found = Waiting::find_by_statement(statement).one(transaction).await?;
    Ok(found.is_some_and(|found| found.waits))
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// The next users whom nobody else is changing, locked in the order of their ids, as every change does it.
async fn next_users(transaction: &DatabaseTransaction, node: &NodeId) -> Result<Vec<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id FROM (
             SELECT user_id FROM node_reissue_users WHERE server_id = $1 ORDER BY user_id LIMIT $3) w
         JOIN users u ON u.id = w.user_id
         ORDER BY w.user_id LIMIT $2 FOR NO KEY UPDATE OF u SKIP LOCKED",
        [node.clone().into(), BATCH.into(), LOOKED_AT.into()],
    );
    let found = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(found.into_iter().map(|user| user.id).collect())
}

/// Renews the devices of these users, whose rows are locked, and notes that they had their turn.
async fn renew(
    transaction: &DatabaseTransaction,
    app: &App,
    job: node_reissue::Model,
    users: &[i64],
) -> Result<(), DbErr> {
    let living = user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(users.iter().copied()))
        .order_by_asc(user::Column::Id)
        .all(transaction)
        .await?;
    let valid = credential::Entity::find_valid_of(users.iter().copied())
        .all(transaction)
        .await?;
    let cause = Cause::Lost {
        node: &job.server_id,
        upto: job.upto,
    };
    let renewed = living.into_iter().filter_map(|user| {
        let is_hers = |credential: &&credential::Model| credential.user_id == Some(user.id);
        let credentials: Vec<credential::Model> = valid.iter().filter(is_hers).cloned().collect();
        let renewals = renewals(&credentials, &user.server_id, cause, job.old_profiles);
        (!renewals.is_empty()).then_some((user, renewals))
    });
    let renewed: Vec<Renewed> = renewed.collect();
    let actor = actor_of(&job);
    let renewing = Renewing {
        app,
        actor: &actor,
        old: job.old_profiles,
    };
    let changed = renewing.renew(transaction, &renewed).await?.len();
    take_off(transaction, &job.server_id, users).await?;
    let (done, unchanged) = (
        job.done + count(users.len()),
        job.unchanged + count(users.len() - changed),
    );
    let mut row = job.into_active_model();
    row.done = Set(done);
    row.unchanged = Set(unchanged);
    row.turn_at = Set(now());
    row.update(transaction).await.map(drop)
}

/// They had their turn; gives how many of them were still to come.
async fn take_off(transaction: &DatabaseTransaction, node: &NodeId, users: &[i64]) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "DELETE FROM node_reissue_users WHERE server_id = $1 AND user_id = ANY($2)",
        [node.clone().into(), users.to_vec().into()],
    );
    Ok(transaction.execute_raw(statement).await?.rows_affected())
}

/// Ends it, unless there are users whom somebody else is changing. Those whose rows are gone were removed: they need nothing.
async fn end_if_done(transaction: &DatabaseTransaction, job: node_reissue::Model) -> Result<Left, DbErr> {
    let statement = |sql: &'static str| {
        let values = [job.server_id.clone().into()];
        Statement::from_sql_and_values(transaction.get_database_backend(), sql, values)
    };
    let gone = statement(
        "DELETE FROM node_reissue_users w WHERE w.server_id = $1 AND NOT EXISTS (SELECT FROM users u WHERE u.id = w.user_id)",
    );
    let gone = transaction.execute_raw(gone).await?.rows_affected();
    let gone = i64::try_from(gone).unwrap_or(i64::MAX);
    let left = statement("SELECT EXISTS (SELECT FROM node_reissue_users WHERE server_id = $1) AS waits");
    let left = Waiting::find_by_statement(left).one(transaction).await?;
    let is_done = !left.is_some_and(|left| left.waits);
    if gone == 0 && !is_done {
        return Ok(Left::Busy);
    }
    let (done, unchanged) = (job.done + gone, job.unchanged + gone);
    let mut row = job.into_active_model();
    row.done = Set(done);
    row.unchanged = Set(unchanged);
    if is_done {
        row.ended_at = Set(Some(now()));
    }
    let job = row.update(transaction).await?;
    if !is_done {
        return Ok(Left::Busy);
    }
    info!(
        node.id = %job.server_id,
        users = job.done,
        unchanged = job.unchanged,
        failed = job.failed,
        "The users of a node have new credentials"
    );
    let entry = Entry::new(&actor_of(&job), AuditAction::NodeReissueCompleted, &job.server_id).after(snapshot(&job));
    audit::record_one(transaction, entry).await?;
    // Another node may wait.
    Ok(Left::More)
}

/// Gives each of these users a turn of its own. Those of whom the database refuses the change are noted, unless it refuses that of each: then the
/// fault is none of theirs.
async fn each_apart(app: &App, node: &NodeId, users: &[i64]) -> Result<(), DbErr> {
    let mut refused = Vec::new();
    for user in users {
        match apart(app, node, *user).await {
            Ok(()) => {}
            Err(error) if is_about_one(meaning(&error)) => refused.push((*user, error)),
            Err(error) => return Err(error),
        }
    }
    let is_of_all = users.len() > 1 && refused.len() == users.len();
    for (user, error) in refused {
        if is_of_all {
            return Err(error);
        }
        if let Some(times) = FAILED.admit() {
            warn!(node.id = %node, user.id = user, error = %chain(&error), times, "A user of a node got no new credentials");
        }
        transact(&app.db, |tx| async move { note_failure(&tx, node, user).await }).await?;
    }
    Ok(())
}

/// Gives one user a turn of its own.
async fn apart(app: &App, node: &NodeId, user: i64) -> Result<(), DbErr> {
    let users = [user];
    transact(&app.db, |tx| async move {
        let Some(job) = running(&tx, node).await? else {
            return Ok::<_, DbErr>(());
        };
        let found = user::Entity::find_by_id(user)
            .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
            .one(&*tx)
            .await?;
        // Somebody else is changing it, or has ended it: its turn comes again, if there is one.
        match found {
            Some(_) if is_to_come(&tx, node, user).await? => renew(&tx, app, job, &users).await,
            Some(_) | None => Ok(()),
        }
    })
    .await
}

/// The row of the node, locked, if it goes on.
async fn running(transaction: &DatabaseTransaction, node: &NodeId) -> Result<Option<node_reissue::Model>, DbErr> {
    node_reissue::Entity::find_by_id(node.clone())
        .filter(node_reissue::COLUMN.ended_at.is_null())
        .lock_exclusive()
        .one(transaction)
        .await
}

async fn is_to_come(transaction: &DatabaseTransaction, node: &NodeId, user: i64) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT EXISTS (SELECT FROM node_reissue_users WHERE server_id = $1 AND user_id = $2) AS waits",
        [node.clone().into(), user.into()],
    );
    let found = Waiting::find_by_statement(statement).one(transaction).await?;
    Ok(found.is_some_and(|found| found.waits))
}

async fn note_failure(transaction: &DatabaseTransaction, node: &NodeId, user: i64) -> Result<(), DbErr> {
    let Some(job) = running(transaction, node).await? else {
        return Ok(());
    };
    if take_off(transaction, node, &[user]).await? == 0 {
        return Ok(());
    }
    let found = user::Entity::find_by_id(user).one(transaction).await?;
    let mut names = job.failed_users.as_array().cloned().unwrap_or_default();
    if names.len() < MOST_NAMED {
        names.extend(found.map(|user| Value::from(user.username.as_str())));
    }
    let (done, failed) = (job.done + 1, job.failed + 1);
    let mut row = job.into_active_model();
    row.done = Set(done);
    row.turn_at = Set(now());
    row.failed = Set(failed);
    row.failed_users = Set(Value::Array(names));
    row.update(transaction).await.map(drop)
}

fn actor_of(job: &node_reissue::Model) -> Actor {
    Actor {
        name: job.actor.clone(),
        address: job.ip_address.map(|address| address.ip()),
        request_id: job.request_id.clone(),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
