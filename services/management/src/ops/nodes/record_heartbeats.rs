//! Records heartbeats: the last one of each node, the node's state, and samples for the history.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};
use vpnmanager_entities::{
    health_history, health_status,
    server::{self},
};
use vpnmanager_nats::{heartbeats::Heartbeat, ids::NodeId};

use crate::{
    config::HealthConfig,
    domain::{
        agent_features::outdated,
        audit_action::AuditAction,
        conduct::recent_excess,
        endpoint::asks_for_another_pool,
        health::{self, Assessment, Circumstances},
        placement::{gets_everything, is_heard},
    },
    ops::{
        audit::Entry,
        audit_room::{self, Caused},
        nodes::{
            change_state::{Cause, Transition, change_state},
            find_drift::find_drift,
            received::{Received, Speaker},
            request_handshakes::request_one,
            track_agent_runs::track_agent_runs,
            unmet_needs::unmet_needs,
        },
        transact::transact,
    },
};

/// How often the history of a node gets a sample.
const SAMPLE_EVERY: TimeDelta = TimeDelta::seconds(60);
/// A change of the state is a sample too, unless there were so many in the last ten minutes: a node can change its state with each heartbeat.
const MOST_SAMPLES: u64 = 30;

/// Records a batch in one transaction. Heartbeats of unknown nodes are dropped.
pub async fn record_heartbeats(db: &DatabaseConnection, limits: HealthConfig, batch: &[Received]) -> Result<(), DbErr> {
    transact(db, |tx| async move { record_within(&tx, limits, batch.to_vec()).await }).await
}

async fn record_within(
    transaction: &DatabaseTransaction,
    limits: HealthConfig,
    mut batch: Vec<Received>,
) -> Result<(), DbErr> {
    let names: HashSet<NodeId> = batch.iter().map(|received| received.heartbeat.node.clone()).collect();
    // Two replicas that hear of the same nodes lock them in one order, and nothing of a node before the node.
    let known = server::Entity::find()
        .filter(server::Column::Name.eq_any(names))
        .order_by_asc(server::Column::Name)
        .lock(LockType::NoKeyUpdate)
        .all(transaction)
        .await?;
    batch.retain(|received| known.iter().any(|server| server.name == received.heartbeat.node));
    let (observed, mut caused) = track_agent_runs(transaction, &batch).await?;
    let mut newest: HashMap<NodeId, Received> = HashMap::new();
    for received in batch {
        // The heartbeat of a clone says nothing about the node.
        if !observed.is_of_clone(&received.heartbeat) {
            newest.insert(received.heartbeat.node.clone(), received);
        }
    }
    let before = health_status::Entity::find()
        .filter(health_status::Column::ServerId.is_in(newest.keys().cloned()))
        .all(transaction)
        .await?;
    let before: HashMap<NodeId, health_status::Model> = before
        .into_iter()
        .map(|health| (health.server_id.clone(), health))
        .collect();
    let mut drifts = follow_drift(transaction, &newest, &before).await?;
    let agents: Vec<(&NodeId, &str)> = newest
        .iter()
        .map(|(name, received)| (name, received.heartbeat.agent_version.as_str()))
        .collect();
    let unmet = unmet_needs(transaction, &agents).await?;
    let mut rows = Vec::with_capacity(known.len());
    for server in &known {
        let Some(received) = newest.get(&server.name) else {
            continue;
        };
        let circumstances = Circumstances {
            cloned: observed.is_cloned(&server.name),
            resyncs: gets_everything(server),
            drift_since: drifts.remove(&server.name),
            excess: recent_excess(server, received.at).map(str::to_owned),
            misconfigured: asks_for_another_pool(server),
            late_since: late_since(received, before.get(&server.name), limits),
            outdated: unmet
                .get(&server.name)
                .and_then(|unmet| outdated(&received.heartbeat.agent_version, unmet)),
        };
        rows.push(row(received, &circumstances));
        let assessment = health::assess(&received.heartbeat, received.at, &circumstances, limits);
        if let Some(entry) = follow(transaction, server, received, assessment).await? {
            // How often it is well is in the hand of the node, which sends the heartbeats.
            caused.push(Caused {
                by: server.name.clone(),
                action: AuditAction::NodeStateChanged,
                entry,
            });
        }
        // Only once: if a resync does not repair the drift, the node's own handshakes try again.
        let is_news = circumstances.drift_since == Some(received.at);
        if is_news && server.resync_since.is_none() {
            request_one(transaction, &server.name).await?;
        }
    }
    if !rows.is_empty() {
        upsert(transaction, rows).await?;
    }
    audit_room::record_caused(transaction, caused).await
}

/// The nodes among these that drift, and since when.
async fn follow_drift(
    transaction: &DatabaseTransaction,
    newest: &HashMap<NodeId, Received>,
    before: &HashMap<NodeId, health_status::Model>,
) -> Result<HashMap<NodeId, DateTime<Utc>>, DbErr> {
    let of_agents = newest.values().filter(|received| received.by == Speaker::Agent);
    let of_agents: Vec<&Heartbeat> = of_agents.map(|received| &received.heartbeat).collect();
    let differing = find_drift(transaction, &of_agents).await?;
    let since = newest.iter().filter_map(|(name, received)| {
        let before = before.get(name).and_then(|health| health.drift_since);
        let since = match received.by {
            Speaker::Agent if differing.contains(name) => before.or(Some(received.at)),
            Speaker::Agent => None,
            Speaker::Monitoring => before,
        };
        Some((name.clone(), since?))
    });
    Ok(since.collect())
}

/// The first of the node's heartbeats that have all come late. What monitoring says is no heartbeat of its clock.
fn late_since(
    received: &Received,
    before: Option<&health_status::Model>,
    limits: HealthConfig,
) -> Option<DateTime<Utc>> {
    let before = before.and_then(|health| health.late_since);
    match received.by {
        Speaker::Agent => health::late_since(received.heartbeat.at - received.at, before, received.at, limits),
        Speaker::Monitoring => before,
    }
}

fn row(received: &Received, circumstances: &Circumstances) -> health_status::ActiveModel {
    let heartbeat = &received.heartbeat;
    let openvpn = &heartbeat.openvpn;
    let bounded = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let small = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    health_status::ActiveModel {
        server_id: Set(heartbeat.node.clone()),
        instance: Set(heartbeat.instance),
        received_at: Set(received.at.trunc_subsecs(6)),
        reported_at: Set(heartbeat.at.trunc_subsecs(6)),
        clock_skew_ms: Set((heartbeat.at - received.at).num_milliseconds()),
        openvpn_state: Set(openvpn.state),
        openvpn_pid: Set(openvpn.pid.map(i64::from)),
        sessions: Set(small(openvpn.sessions)),
        capacity: Set(small(openvpn.capacity)),
        bytes_in: Set(bounded(openvpn.bytes_in)),
        bytes_out: Set(bounded(openvpn.bytes_out)),
        users: Set(bounded(heartbeat.users)),
        digest: Set(heartbeat.digest),
        last_sequence: Set(bounded(heartbeat.last_sequence)),
        complete: Set(heartbeat.complete),
        queued_intents: Set(bounded(heartbeat.queued_intents)),
        draining: Set(heartbeat.draining),
        detail: Set(openvpn.detail.clone()),
        fault: Set(heartbeat.fault.clone()),
        drift_since: Set(circumstances.drift_since.map(|since| since.trunc_subsecs(6))),
        late_since: Set(circumstances.late_since.map(|since| since.trunc_subsecs(6))),
        network_pool: Set(heartbeat.network.as_ref().map(|applied| applied.pool.clone())),
        network_revision: Set(heartbeat.network.as_ref().map(|applied| applied.revision.0)),
        groups_revision: Set(heartbeat.groups.map(|revision| revision.0)),
    }
}

async fn upsert(transaction: &DatabaseTransaction, rows: Vec<health_status::ActiveModel>) -> Result<(), DbErr> {
    use health_status::Column;
    let replaced = [
        Column::Instance,
        Column::ReceivedAt,
        Column::ReportedAt,
        Column::ClockSkewMs,
        Column::OpenvpnState,
        Column::OpenvpnPid,
        Column::Sessions,
        Column::Capacity,
        Column::BytesIn,
        Column::BytesOut,
        Column::Users,
        Column::Digest,
        Column::LastSequence,
        Column::Complete,
        Column::QueuedIntents,
        Column::Draining,
        Column::Detail,
        Column::Fault,
        Column::DriftSince,
        Column::LateSince,
        Column::NetworkPool,
        Column::NetworkRevision,
        Column::GroupsRevision,
    ];
    health_status::Entity::insert_many(rows)
        .on_conflict(OnConflict::column(Column::ServerId).update_columns(replaced).to_owned())
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// Updates the node's row from its heartbeat, and adds a sample to the history. If the state changed, gives the entry for the trail.
async fn follow(
    transaction: &DatabaseTransaction,
    server: &server::Model,
    received: &Received,
    assessment: Assessment,
) -> Result<Option<Entry>, DbErr> {
    let mut update = server::Entity::update_many()
        .col_expr(server::Column::LastSeen, Expr::value(received.at.trunc_subsecs(6)))
        .col_expr(
            server::Column::AgentVersion,
            Expr::value(received.heartbeat.agent_version.clone()),
        )
        .filter(server::Column::Name.eq(server.name.clone()));
    if server.heard_since.is_none() || !is_heard(server.state) {
        update = update.col_expr(server::Column::HeardSince, Expr::value(received.at.trunc_subsecs(6)));
    }
    update.exec(transaction).await?;
    let changed = assessment.state != server.state;
    let mut entry = None;
    if changed || assessment.reason != server.state_reason {
        let to = &assessment;
        let transition = Transition {
            node: &server.name,
            from: server.state,
            to,
            at: received.at,
            cause: Cause::Node,
        };
        entry = change_state(transaction, transition).await?;
    }
    let crossed_minute = server.last_seen.is_none_or(|last| minute(last) != minute(received.at));
    if crossed_minute || (changed && has_room(transaction, server, received.at).await?) {
        let openvpn = &received.heartbeat.openvpn;
        let sample = health_history::ActiveModel {
            server_id: Set(server.name.clone()),
            at: Set(received.at.trunc_subsecs(6)),
            state: Set(assessment.state),
            reason: Set(assessment.reason.clone()),
            sessions: Set(i32::try_from(openvpn.sessions).unwrap_or(i32::MAX)),
            bytes_in: Set(i64::try_from(openvpn.bytes_in).unwrap_or(i64::MAX)),
            bytes_out: Set(i64::try_from(openvpn.bytes_out).unwrap_or(i64::MAX)),
            ..Default::default()
        };
        health_history::Entity::insert(sample)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(entry)
}

/// Whether the history takes a sample that is not due.
async fn has_room(
    transaction: &DatabaseTransaction,
    server: &server::Model,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let lately = health_history::Entity::find()
        .filter(health_history::Column::ServerId.eq(server.name.clone()))
        .filter(health_history::Column::At.gt(now - TimeDelta::minutes(10)))
        .count(transaction)
        .await?;
    Ok(lately < MOST_SAMPLES)
}

fn minute(at: DateTime<Utc>) -> i64 {
    at.timestamp() / SAMPLE_EVERY.num_seconds()
}
