//! Users of one batch, each in a transaction of its own, because the database refused the change of one of them.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter,
    QuerySelect, Statement,
    sea_query::{LockBehavior, LockType},
};
use serde_json::Value;
use tracing::warn;
use vpnmanager_entities::{node_reissue, user};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{
    Waiting,
    turn::{renew, take_off},
};
use crate::{
    app::App,
    ops::{
        sqlstate::{Meaning, meaning},
        transact::transact,
    },
};

/// The most names of users that failed.
const MOST_NAMED: usize = 10;

static FAILED: LogLimit = LogLimit::lines("a user got no new credentials", 5);

/// Whether what the database said is about the row of a user, so that others may have their turn. A mistake of ours too: it may be about the
/// data of one user, and whoever asked must learn that it failed.
pub(super) fn is_about_one(error: &DbErr) -> bool {
    match meaning(error) {
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

/// Gives each of these users a turn of its own. Those of whom the database refuses the change are noted, unless it refuses that of each: then the
/// fault is none of theirs.
pub(super) async fn each_apart(app: &App, node: &NodeId, users: &[i64]) -> Result<(), DbErr> {
    let mut refused = Vec::new();
    for user in users {
        match apart(app, node, *user).await {
            Ok(()) => {}
            Err(error) if is_about_one(&error) => refused.push((*user, error)),
            Err(error) => return Err(error),
        }
    }
    let is_of_all = users.len() > 1 && refused.len() == users.len();
    for (user, error) in refused {
        if is_of_all {
            // Another node may have its turn.
            take_off(&app.db, node, &[]).await?;
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
    row.failed = Set(failed);
    row.failed_users = Set(Value::Array(names));
    row.update(transaction).await.map(drop)
}
