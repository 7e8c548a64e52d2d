//! Restarts of OpenVPN on all nodes of a pool, one node after another. What is asked for is recorded, and any replica goes on with it from what is
//! recorded: each step is one short transaction, or one request to a node. [`domain::rollout`](crate::domain::rollout) says which step comes next.

pub mod start;

pub mod go_on;
pub mod read;
pub mod stop;

mod ask;
pub(in crate::ops) mod leave_drained;
mod perform;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveEnum as _, ActiveModelTrait as _, ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr,
    EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use serde_json::json;
use tracing::info;
use vpnmanager_entities::{
    rollout::{self, RolloutState},
    rollout_node::{self, RolloutNodeState},
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        nodes::change::{ChangeNodeError, NodeChange, record_change},
    },
};

/// A rollout and its nodes.
#[derive(Debug, Clone)]
pub struct RolloutView {
    /// The rollout.
    pub rollout: rollout::Model,
    /// Its nodes, in the order of their names.
    pub nodes: Vec<rollout_node::Model>,
}

/// Why there is no rollout to be read or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// There is no such pool.
    #[error("there is no such pool")]
    UnknownPool,
    /// Nobody ever asked for one.
    #[error("nobody asked for a rollout of the pool")]
    NotAsked,
    /// The last one has ended.
    #[error("no rollout of the pool is running")]
    NotRunning,
    /// The database failed.
    #[error("reading or recording the rollout failed")]
    Database(#[from] DbErr),
}

/// The rollout with this row id, locked, if it goes on. The caller holds what keeps changes of nodes apart.
async fn locked_running(transaction: &DatabaseTransaction, id: i64) -> Result<Option<rollout::Model>, DbErr> {
    rollout::Entity::find_by_id(id)
        .filter(rollout::COLUMN.ended_at.is_null())
        .lock_exclusive()
        .one(transaction)
        .await
}

/// The nodes of a rollout, in the order of their names.
async fn nodes_of(db: &impl ConnectionTrait, rollout: i64) -> Result<Vec<rollout_node::Model>, DbErr> {
    rollout_node::Entity::find()
        .filter(rollout_node::COLUMN.rollout_id.eq(rollout))
        .order_by_asc(rollout_node::Column::ServerId)
        .all(db)
        .await
}

/// Ends the drain of a node, if it is of the rollout and as far as the node is there. Gives whether it is of the rollout.
async fn undrain(transaction: &DatabaseTransaction, actor: &Actor, node: &rollout_node::Model) -> Result<bool, DbErr> {
    if !node.drained {
        return Ok(false);
    }
    match record_change(transaction, actor, &node.server_id, NodeChange::Undrain).await {
        Ok(()) | Err(ChangeNodeError::UnknownServer | ChangeNodeError::NowhereToGo) => Ok(true),
        Err(ChangeNodeError::Database(error)) => Err(error),
    }
}

/// Leaves a node out, and ends its drain if it is of the rollout. Gives whether it is.
async fn skip(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: rollout_node::Model,
    (why, now): (String, DateTime<Utc>),
) -> Result<bool, DbErr> {
    let is_drained = undrain(transaction, actor, &node).await?;
    let mut row = node.into_active_model();
    row.state = Set(RolloutNodeState::Skipped);
    row.since = Set(now);
    row.sessions_left = Set(None);
    row.detail = Set(Some(why));
    row.update(transaction).await?;
    Ok(is_drained)
}

/// How a rollout ends.
struct End {
    state: RolloutState,
    /// Why it failed, for people.
    detail: Option<String>,
    now: DateTime<Utc>,
}

impl End {
    fn failed(why: String, now: DateTime<Utc>) -> Self {
        Self {
            state: RolloutState::Failed,
            detail: Some(why),
            now,
        }
    }
}

/// Ends a rollout whose row is locked. Nodes whose turn did not come are left out.
async fn end(
    transaction: &DatabaseTransaction,
    app: &App,
    (actor, job): (&Actor, rollout::Model),
    how: End,
) -> Result<(), DbErr> {
    let End { state, detail, now } = how;
    let nodes = nodes_of(transaction, job.id).await?;
    let mut counts = [0, 0];
    let [restarted, skipped] = &mut counts;
    for node in nodes {
        match node.state {
            RolloutNodeState::Done => *restarted += 1,
            RolloutNodeState::Skipped => *skipped += 1,
            RolloutNodeState::Waiting => {
                *skipped += 1;
                let why = node.detail.clone();
                let why = why.unwrap_or_else(|| "the rollout ended before its turn".to_owned());
                // One that waits is not drained, so no client moves.
                skip(transaction, actor, node, (why, now)).await?;
            }
            RolloutNodeState::Draining | RolloutNodeState::Restarting | RolloutNodeState::Failed => {}
        }
    }
    let [restarted, skipped] = counts;
    let word = state.to_value();
    info!(rollout.id = job.id, rollout.pool = %job.pool, rollout.state = word, restarted, skipped, "A rollout has ended");
    let stopped_by = job.stopped_by.as_ref().map(|by| format!("; stopped by {by}"));
    let why = detail.as_ref().map(|why| format!(": {why}"));
    let said = format!(
        "{word}, {restarted} restarted, {skipped} skipped{}{}",
        stopped_by.unwrap_or_default(),
        why.unwrap_or_default()
    );
    let entry = Entry::new(actor, AuditAction::RolloutEnded, &app.config.server_id)
        .details(said)
        .after(json!({
            "id": job.id,
            "pool": job.pool,
            "state": word,
            "restarted": restarted,
            "skipped": skipped,
        }));
    let mut row = job.into_active_model();
    row.state = Set(state);
    row.ended_at = Set(Some(now));
    row.detail = Set(detail);
    row.update(transaction).await?;
    audit::record_one(transaction, entry).await
}
