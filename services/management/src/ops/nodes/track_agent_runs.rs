//! Tells a node's agent from its clone, by the runs that send heartbeats.

use std::collections::{HashMap, HashSet};

use chrono::{SubsecRound, TimeDelta};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait, OnConflict},
};
use serde_json::json;
use tracing::error;
use vpnmanager_entities::agent_run;
use vpnmanager_nats::{heartbeats::Heartbeat, ids::AgentInstance, ids::NodeId};

use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        clones::{self, Run, Spoken},
    },
    ops::{
        audit::Entry,
        audit_room::Caused,
        nodes::{received::Received, request_handshakes::request_one},
    },
};

/// The most runs that are remembered of one node.
const MOST_RUNS: i64 = 16;

/// What a batch of heartbeats shows about clones.
#[derive(Debug, Default)]
pub struct Observed {
    refused: HashSet<(NodeId, AgentInstance)>,
    cloned: HashSet<NodeId>,
}

impl Observed {
    /// Whether a clone sent this heartbeat.
    pub fn is_of_clone(&self, heartbeat: &Heartbeat) -> bool {
        self.refused.contains(&(heartbeat.node.clone(), heartbeat.instance))
    }

    /// Whether a clone of the node is active.
    pub fn is_cloned(&self, node: &NodeId) -> bool {
        self.cloned.contains(node)
    }
}

/// Records which runs sent these heartbeats. All nodes in `batch` must be registered, and their rows locked. Also gives the entries for the
/// trail, which the caller records last.
pub async fn track_agent_runs(
    transaction: &DatabaseTransaction,
    batch: &[Received],
) -> Result<(Observed, Vec<Caused>), DbErr> {
    let nodes: HashSet<NodeId> = batch.iter().map(|received| received.heartbeat.node.clone()).collect();
    let rows = agent_run::Entity::find()
        .filter(agent_run::Column::ServerId.eq_any(nodes))
        .all(transaction)
        .await?;
    let mut runs: HashMap<NodeId, Vec<Run>> = HashMap::new();
    for row in rows {
        runs.entry(row.server_id.clone()).or_default().push(run(row));
    }
    let mut heard: HashMap<(NodeId, AgentInstance), Run> = HashMap::new();
    let mut flipped: Vec<(NodeId, Run)> = Vec::new();
    for received in batch {
        let (node, instance) = (received.heartbeat.node.clone(), received.heartbeat.instance);
        let known = runs.entry(node.clone()).or_default();
        let was_refused = known.iter().any(|run| run.instance == instance && run.refused);
        let spoken = Spoken {
            instance,
            at: received.heartbeat.at,
            heard: received.at,
        };
        let run = clones::hear(known, spoken);
        known.retain(|other| other.instance != instance);
        known.push(run.clone());
        if run.refused != was_refused {
            flipped.push((node.clone(), run.clone()));
        }
        heard.insert((node, instance), run);
    }
    let mut observed = Observed::default();
    for ((node, instance), run) in &heard {
        if run.refused {
            observed.refused.insert((node.clone(), *instance));
        }
        if runs
            .get(node)
            .is_some_and(|runs| clones::is_cloned(runs, run.last_heard))
        {
            observed.cloned.insert(node.clone());
        }
    }
    let nodes = heard.keys().map(|(node, _)| node.to_string()).collect();
    upsert(transaction, heard).await?;
    forget_old(transaction, nodes).await?;
    let mut caused = Vec::new();
    for (node, run) in &flipped {
        caused.extend(record_verdict(transaction, node, run).await?);
    }
    Ok((observed, caused))
}

/// Whether this run of the node's agent is refused as a clone.
pub async fn is_refused(db: &impl ConnectionTrait, node: &NodeId, instance: AgentInstance) -> Result<bool, DbErr> {
    let found = agent_run::Entity::find_by_id((node.clone(), instance)).one(db).await?;
    Ok(found.is_some_and(|run| run.refused))
}

/// All runs that are refused as clones.
pub async fn refused_runs(db: &impl ConnectionTrait) -> Result<HashSet<(NodeId, AgentInstance)>, DbErr> {
    let refused = agent_run::Entity::find()
        .filter(agent_run::COLUMN.refused.eq(true))
        .all(db)
        .await?;
    Ok(refused.into_iter().map(|run| (run.server_id, run.instance)).collect())
}

/// Records that the clone was told of its refusal. True the first time.
pub async fn note_told(db: &impl ConnectionTrait, node: &NodeId, instance: AgentInstance) -> Result<bool, DbErr> {
    let noted = agent_run::Entity::update_many()
        .col_expr(agent_run::Column::Told, Expr::value(true))
        .filter(agent_run::Column::ServerId.eq(node.clone()))
        .filter(agent_run::Column::Instance.eq(instance))
        .filter(Expr::col(agent_run::Column::Told).eq(false))
        .exec(db)
        .await?;
    Ok(noted.rows_affected > 0)
}

fn run(row: agent_run::Model) -> Run {
    Run {
        instance: row.instance,
        first_heard: row.first_heard,
        last_heard: row.last_heard,
        last_sent: row.last_sent,
        previous_sent: row.previous_sent,
        offset: TimeDelta::microseconds(row.offset_us),
        refused: row.refused,
    }
}

/// Writes the runs, except `refused` and `told`, which only [`record_verdict`] and [`note_told`] change.
async fn upsert(transaction: &DatabaseTransaction, heard: HashMap<(NodeId, AgentInstance), Run>) -> Result<(), DbErr> {
    use agent_run::Column;
    if heard.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<agent_run::ActiveModel> = Vec::with_capacity(heard.len());
    for ((node, instance), run) in heard {
        rows.push(agent_run::ActiveModel {
            server_id: Set(node),
            instance: Set(instance),
            first_heard: Set(run.first_heard.trunc_subsecs(6)),
            last_heard: Set(run.last_heard.trunc_subsecs(6)),
            last_sent: Set(run.last_sent.trunc_subsecs(6)),
            previous_sent: Set(run.previous_sent.trunc_subsecs(6)),
            offset_us: Set(run.offset.num_microseconds().unwrap_or_default()),
            ..Default::default()
        });
    }
    let replaced = [
        Column::LastHeard,
        Column::LastSent,
        Column::PreviousSent,
        Column::OffsetUs,
    ];
    let conflict = OnConflict::columns([Column::ServerId, Column::Instance])
        .update_columns(replaced)
        .to_owned();
    agent_run::Entity::insert_many(rows)
        .on_conflict(conflict)
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// Deletes runs that ended a day ago, which no longer matter, and of these nodes all but the [`MOST_RUNS`] that were heard last: a node may
/// name as many runs as it likes.
async fn forget_old(transaction: &DatabaseTransaction, nodes: Vec<String>) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "DELETE FROM agent_runs r USING (
             SELECT server_id, instance, row_number() OVER (PARTITION BY server_id ORDER BY last_heard DESC, instance) AS place
             FROM agent_runs WHERE server_id = ANY($1)) AS ranked
         WHERE r.server_id = ranked.server_id AND r.instance = ranked.instance
           AND (ranked.place > $2 OR r.last_heard < now() - interval '1 day')",
        [nodes.into(), MOST_RUNS.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// Records that a run is refused now, or accepted again, and gives the entry for the trail. This is a compare-and-set: only one of several
/// replicas does it.
async fn record_verdict(transaction: &DatabaseTransaction, node: &NodeId, run: &Run) -> Result<Option<Caused>, DbErr> {
    let recorded = agent_run::Entity::update_many()
        .col_expr(agent_run::Column::Refused, Expr::value(run.refused))
        .col_expr(agent_run::Column::Told, Expr::value(false))
        .filter(agent_run::Column::ServerId.eq(node.clone()))
        .filter(agent_run::Column::Instance.eq(run.instance))
        .filter(Expr::col(agent_run::Column::Refused).eq(!run.refused))
        .exec(transaction)
        .await?;
    if recorded.rows_affected == 0 {
        return Ok(None);
    }
    // The clone learns of it from the answer to its handshake.
    request_one(transaction, node).await?;
    let (action, details) = if run.refused {
        error!(node.id = %node, clone.instance = %run.instance, "Two agents use the identity of one node, the younger one is refused");
        (
            AuditAction::NodeCloned,
            "a second agent uses the node's identity while the first is still running: the second is refused",
        )
    } else {
        (
            AuditAction::NodeCloneAccepted,
            "the node's other agents are silent: the agent that was refused as a clone is accepted",
        )
    };
    let entry = Entry::new(&Actor::system(), action, node)
        .details(details)
        .after(json!({ "instance": run.instance, "first_heard": run.first_heard, "refused": run.refused }));
    let by = node.clone();
    Ok(Some(Caused { by, action, entry }))
}
