//! Carries out what was asked for: new credentials for all users of a node, some users at a time.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{LockBehavior, LockType},
};
use tracing::info;
use vpnmanager_entities::node_reissue::{self, Column};
use vpnmanager_nats::ids::NodeId;

use super::{
    Waiting,
    apart::{each_apart, is_about_one},
    now, snapshot,
    turn::{next_users, renew},
};
use crate::{
    app::App,
    domain::audit_action::AuditAction,
    ops::{
        asker::AskedFor as _,
        audit::{self, Entry},
        count::count,
        transact::transact,
    },
};

/// A command that ends access and was not sent for so many seconds is for a server that does not answer.
const UNANSWERED_AFTER: f64 = 1.0;
/// Commands that end access go first for so many seconds at most: more and more of them may come.
const YIELDS_FOR: f64 = 5.0;

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

/// Gives new credentials to up to 100 users of one node: one where older profiles are revoked comes first, and then the one that had no turn for
/// longest. Users whom somebody else is changing are left for later. All replicas may run this at the same time: each takes another node. A user of whom the
/// database refuses the change holds up no other: that one counts as failed.
///
/// # Errors
/// The database failed, or refuses the change of each of several users: nobody had a turn.
pub async fn reissue_some(app: &App) -> Result<Left, DbErr> {
    let left = match transact(&app.db, |tx| async move { step(&tx, app).await }).await {
        Ok(left) => left,
        Err(StepError::Renew { node, users, source }) if is_about_one(&source) => {
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

async fn step(transaction: &DatabaseTransaction, app: &App) -> Result<Left, StepError> {
    let mut busy: Vec<NodeId> = Vec::new();
    loop {
        let Some(job) = next_job(transaction, &busy).await? else {
            return Ok(if busy.is_empty() { Left::Nothing } else { Left::Busy });
        };
        if yields(transaction, &job.server_id).await? {
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
        // `revoke` comes before `keep`; where all goes wrong, the next one has its turn.
        .order_by_desc(Column::OldProfiles)
        .order_by_asc(Column::TurnAt)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(transaction)
        .await
}

/// Whether a command that ends access waits to be sent to a node that may answer, and this node's users had a turn lately. The newest are sent first
/// ([`ask_directly`](crate::ops::publications::ask_directly)): more of them now would overtake it.
async fn yields(transaction: &DatabaseTransaction, node: &NodeId) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT j.turn_at > now() - make_interval(secs => $3) AND EXISTS (
             SELECT FROM servers s WHERE s.state NOT IN ('stale', 'lost') AND EXISTS (
                 SELECT FROM placements p
                 WHERE p.server_id = s.name AND p.urgent_since > now() - make_interval(secs => $2)
                   AND p.asked_at IS NULL AND p.applied_revision < p.wanted_revision)) AS waits
         FROM node_reissues j WHERE j.server_id = $1",
        [node.clone().into(), UNANSWERED_AFTER.into(), YIELDS_FOR.into()],
    );
    let found = Waiting::find_by_statement(statement).one(transaction).await?;
    Ok(found.is_some_and(|found| found.waits))
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
    let gone = count(transaction.execute_raw(gone).await?.rows_affected());
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
    let entry = Entry::new(&job.asker(), AuditAction::NodeReissueCompleted, &job.server_id).after(snapshot(&job));
    audit::record_one(transaction, entry).await?;
    // Another node may wait.
    Ok(Left::More)
}
