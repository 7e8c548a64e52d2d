//! Stops a rollout.

use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, DatabaseTransaction, IntoActiveModel as _};
use vpnmanager_entities::rollout_node::{self, RolloutNodeState};
use vpnmanager_nats::ids::NodeId;

use super::{
    RolloutError, RolloutView,
    go_on::step,
    locked_running, nodes_of,
    read::{last_of, read_rollout},
};
use crate::{
    app::App,
    domain::actor::Actor,
    ops::{in_turn::transact_on_fleet, nodes::one_at_a_time::one_at_a_time},
};

/// Begins no further node. One that is drained and was not asked to restart is undrained at once; one that restarts is waited for by the background
/// tasks, and then the rollout ends. While it is waited for, asking again changes nothing.
pub async fn stop_rollout(app: &App, actor: &Actor, pool: &NodeId) -> Result<RolloutView, RolloutError> {
    transact_on_fleet(app, |tx| async move { record(app, &tx, actor, pool).await }).await?;
    app.wake_of_drains();
    app.rollouts.wake();
    read_rollout(&app.db, pool).await
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    pool: &NodeId,
) -> Result<(), RolloutError> {
    one_at_a_time(transaction).await?;
    let last = last_of(transaction, pool).await?;
    let job = locked_running(transaction, last.id).await?;
    let job = job.ok_or(RolloutError::NotRunning)?;
    let id = job.id;
    if job.stopped_by.is_none() {
        let mut row = job.into_active_model();
        row.stopped_by = Set(Some(actor.name.clone()));
        row.update(transaction).await?;
    }
    let nodes = nodes_of(transaction, id).await?;
    let restarts = |node: &rollout_node::Model| node.state == RolloutNodeState::Restarting;
    if nodes.iter().any(restarts) {
        return Ok(());
    }
    // The node that drains is left out, and the rollout ends.
    while step(transaction, app, id, None).await?.wrote {}
    Ok(())
}
