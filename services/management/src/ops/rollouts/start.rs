//! Asks for a rollout.

use std::time::Duration;

use ipnetwork::IpNetwork;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _,
};
use serde_json::json;
use vpnmanager_entities::{
    pool, rollout,
    rollout_node::{self, RolloutNodeState},
    server,
};
use vpnmanager_nats::ids::NodeId;

use super::{RolloutView, nodes_of, read::last};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, placement::Fleet, rollout::out_of_service},
    ops::{
        audit::{self, Entry},
        in_turn::transact_on_fleet,
        nodes::one_at_a_time::one_at_a_time,
        placement::read_fleet::read_fleet,
    },
};

/// How nodes are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restarts {
    /// Whether the clients of a node are moved to others before.
    pub drain: bool,
    /// How long that may take at most on one node, 10 s to 24 h; whoever is left then loses the tunnel for a moment.
    pub drain_for: Duration,
}

/// Why no rollout was begun.
#[derive(Debug, thiserror::Error)]
pub enum StartRolloutError {
    /// There is no such pool.
    #[error("there is no such pool")]
    UnknownPool,
    /// One goes on.
    #[error("a rollout of the pool is running")]
    IsRunning,
    /// There is none to be restarted.
    #[error("no server of the pool serves")]
    NobodyServes,
    /// This node did not come back in the last one, which left it drained. Taking out another one would take out one after another.
    #[error("{0} is still drained since the last rollout, in which it failed")]
    LeftDrained(NodeId),
    /// Nobody could take the clients of the node that would be drained.
    #[error("only one server of the pool could take clients")]
    OnlyOne,
    /// The database failed.
    #[error("recording the rollout failed")]
    Database(#[from] DbErr),
}

/// Asks to restart OpenVPN on all nodes of a pool, one after another, in the order of their names. Background tasks carry it out.
pub async fn start_rollout(
    app: &App,
    actor: &Actor,
    pool: &NodeId,
    restarts: Restarts,
) -> Result<RolloutView, StartRolloutError> {
    let view = transact_on_fleet(app, |tx| async move { record(app, &tx, (actor, pool), restarts).await }).await?;
    app.rollouts.wake();
    Ok(view)
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    (actor, name): (&Actor, &NodeId),
    restarts: Restarts,
) -> Result<RolloutView, StartRolloutError> {
    one_at_a_time(transaction).await?;
    let pool = pool::Entity::find_by_name(name.clone()).one(transaction).await?;
    let pool = pool.ok_or(StartRolloutError::UnknownPool)?;
    let last = last(transaction, pool.id).await?;
    let fleet = read_fleet(transaction).await?;
    if let Some(last) = last {
        if last.ended_at.is_none() {
            return Err(StartRolloutError::IsRunning);
        }
        let nodes = nodes_of(transaction, last.id).await?;
        if let Some(left) = nodes.into_iter().find(|node| is_left_drained(&fleet, name, node)) {
            return Err(StartRolloutError::LeftDrained(left.server_id));
        }
    }
    let members = members(&fleet, name, restarts)?;
    rollout::Entity::delete_many()
        .filter(rollout::COLUMN.pool_id.eq(pool.id))
        .exec(transaction)
        .await?;
    let seconds = i32::try_from(restarts.drain_for.as_secs()).unwrap_or(i32::MAX);
    let row = rollout::ActiveModel {
        pool: Set(pool.name),
        pool_id: Set(pool.id),
        drain: Set(restarts.drain),
        drain_for_seconds: Set(seconds),
        actor: Set(actor.name.clone()),
        ip_address: Set(actor.address.map(IpNetwork::from)),
        request_id: Set(actor.request_id.clone()),
        ..Default::default()
    };
    let job = row.insert(transaction).await?;
    let nodes = members.iter().map(|server| rollout_node::ActiveModel {
        rollout_id: Set(job.id),
        server_id: Set(server.name.clone()),
        ..Default::default()
    });
    rollout_node::Entity::insert_many(nodes)
        .exec_without_returning(transaction)
        .await?;
    let names: Vec<&NodeId> = members.iter().map(|server| &server.name).collect();
    let after = json!({
        "id": job.id,
        "pool": job.pool,
        "drain": job.drain,
        "drain_for_seconds": job.drain_for_seconds,
        "nodes": names,
    });
    let entry = Entry::new(actor, AuditAction::RolloutStarted, &app.config.server_id).after(after);
    audit::record_one(transaction, entry).await?;
    let nodes = nodes_of(transaction, job.id).await?;
    Ok(RolloutView { rollout: job, nodes })
}

/// Whether the node failed in a rollout, and still drains since then, in the same pool.
fn is_left_drained(fleet: &Fleet, pool: &NodeId, node: &rollout_node::Model) -> bool {
    let drains = |server: &server::Model| server.draining && !server.is_deregistered() && server.pool == pool.as_str();
    node.state == RolloutNodeState::Failed && node.drained && fleet.find(&node.server_id).is_some_and(drains)
}

/// The nodes of the pool, if there are some to be restarted in this way.
fn members<'a>(
    fleet: &'a Fleet,
    pool: &NodeId,
    restarts: Restarts,
) -> Result<Vec<&'a server::Model>, StartRolloutError> {
    let in_pool = fleet.servers().iter().filter(|server| server.pool == pool.as_str());
    let members: Vec<&server::Model> = in_pool.filter(|server| !server.is_deregistered()).collect();
    let serves = |server: &&&server::Model| out_of_service(fleet, server).is_none();
    let mut serving = members.iter().filter(serves).peekable();
    if serving.peek().is_none() {
        return Err(StartRolloutError::NobodyServes);
    }
    if restarts.drain && !serving.any(|server| fleet.has_others(server)) {
        return Err(StartRolloutError::OnlyOne);
    }
    Ok(members)
}
