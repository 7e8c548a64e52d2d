//! Goes on with rollouts, a step at a time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use tracing::warn;
use vpnmanager_entities::{agent_run, health_status, pool, rollout};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{
    ask::{ask_to_restart, ask_whether},
    locked_running, nodes_of,
    perform::{Ask, Performed, perform},
};
use crate::{
    app::App,
    domain::rollout::{Scene, Told, next},
    ops::{
        database_now::database_now, in_turn::transact_on_fleet, nodes::one_at_a_time::one_at_a_time,
        placement::read_fleet::read_fleet,
    },
};

static FAILED: LogLimit = LogLimit::lines("a rollout could not go on", 5);

/// Does what each rollout does next, and gives whether one goes on. All replicas may run this at the same time, and one goes on where another one
/// died: what a step does is decided by what is recorded, while no other replica does one. A rollout that fails holds up no other one: its error is
/// logged, and it has its turn again.
///
/// # Errors
/// It cannot be read which rollouts go on.
pub async fn advance_rollouts(app: &App) -> Result<bool, DbErr> {
    let running = running(&app.db).await?;
    for id in &running {
        if let Err(error) = advance(app, *id).await
            && let Some(times) = FAILED.admit()
        {
            warn!(rollout.id = id, error = %chain(&error), times, "A rollout could not go on, trying again");
        }
    }
    Ok(!running.is_empty())
}

/// Does a step, and asks the agent that it is about.
async fn advance(app: &App, id: i64) -> Result<(), DbErr> {
    match commit_step(app, id, None).await? {
        None => Ok(()),
        Some(Ask::Whether(node)) => {
            let told = Told {
                willing: ask_whether(app, &node).await,
                node,
            };
            commit_step(app, id, Some(&told)).await.map(drop)
        }
        Some(Ask::ToRestart(node)) => ask_to_restart(app, id, &node).await,
    }
}

/// Does a step, and gives what is to be asked now.
async fn commit_step(app: &App, id: i64, told: Option<&Told>) -> Result<Option<Ask>, DbErr> {
    let performed = transact_on_fleet(app, |tx| async move { step(&tx, app, id, told).await }).await?;
    if performed.moves_clients {
        app.wake_of_drains();
    }
    Ok(performed.asks)
}

/// The row ids of the rollouts that go on.
async fn running(db: &impl ConnectionTrait) -> Result<Vec<i64>, DbErr> {
    rollout::Entity::find()
        .select_only()
        .column(rollout::Column::Id)
        .filter(rollout::COLUMN.ended_at.is_null())
        .order_by_asc(rollout::Column::Id)
        .into_tuple()
        .all(db)
        .await
}

/// Does what this one does next. `told`: what an agent said a moment ago.
pub(super) async fn step(
    transaction: &DatabaseTransaction,
    app: &App,
    id: i64,
    told: Option<&Told>,
) -> Result<Performed, DbErr> {
    one_at_a_time(transaction).await?;
    let Some(job) = locked_running(transaction, id).await? else {
        return Ok(Performed::NOTHING);
    };
    let nodes = nodes_of(transaction, id).await?;
    let found = pool::Entity::find_by_id(job.pool_id).one(transaction).await?;
    let fleet = read_fleet(transaction).await?;
    let members = fleet.servers().iter().filter(|server| server.pool == job.pool.as_str());
    let health = health_of(transaction, members.map(|server| server.name.clone()).collect()).await?;
    let runs = runs_of(transaction, &health).await?;
    let now = database_now(transaction).await?;
    let step = next(&Scene {
        rollout: &job,
        nodes: &nodes,
        has_pool: found.is_some(),
        fleet: &fleet,
        health: &health,
        runs: &runs,
        told,
        now,
    });
    perform(transaction, app, (job, nodes), (step, now)).await
}

/// The last heartbeats of these nodes.
async fn health_of(
    db: &impl ConnectionTrait,
    nodes: Vec<NodeId>,
) -> Result<HashMap<NodeId, health_status::Model>, DbErr> {
    let found = health_status::Entity::find()
        .filter(health_status::Column::ServerId.eq_any(nodes))
        .all(db)
        .await?;
    Ok(found
        .into_iter()
        .map(|health| (health.server_id.clone(), health))
        .collect())
}

/// When the runs of the agents that sent these heartbeats were first heard.
async fn runs_of(
    db: &impl ConnectionTrait,
    health: &HashMap<NodeId, health_status::Model>,
) -> Result<HashMap<NodeId, DateTime<Utc>>, DbErr> {
    let nodes: Vec<NodeId> = health.keys().cloned().collect();
    let runs = agent_run::Entity::find()
        .filter(agent_run::Column::ServerId.eq_any(nodes))
        .all(db)
        .await?;
    let speaks = |run: &agent_run::Model| {
        let last = health.get(&run.server_id);
        last.is_some_and(|last| last.instance == run.instance)
    };
    let speaking = runs.into_iter().filter(speaks);
    Ok(speaking.map(|run| (run.server_id, run.first_heard)).collect())
}
