//! Sets nodes that are silent for too long to stale, and later to lost.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement,
    sea_query::LockType,
};
use tracing::error;
use vpnmanager_entities::server::{self, NodeState};

use crate::{
    app::App,
    config::HealthConfig,
    domain::{
        health::{self, Assessment},
        shown_time::shown_time,
        silence::{CommonSilence, common_silence},
    },
    ops::{
        audit,
        nodes::{
            change_state::{Cause, Transition, change_state},
            note_hearing::heard_since,
        },
        transact::transact,
    },
};

/// Assesses every node by the age of its last heartbeat. Each change of state gets an audit entry and a sample in the history. All
/// replicas may run this at the same time: only one of them makes the change.
///
/// When all nodes that were there fell silent together, one alarm names the likely cause, and their own lines are no alarms.
///
/// The silence of a node counts from when management hears: while every replica is behind, or drops what nodes send, nobody is called stale
/// or lost. After time that this process did not notice it counts anew.
pub async fn assess_ages(app: &App) -> Result<(), DbErr> {
    let (db, limits) = (&app.db, app.config.health);
    let heard_since = app.clock.of(heard_since(app).await?);
    let now = app.clock.now();
    let silent_since = now - limits.stale_after;
    let silent = server::Entity::find()
        .filter(server::COLUMN.last_seen.lt(silent_since))
        .filter(server::Column::State.ne(NodeState::Lost))
        .all(db)
        .await?;
    let mut changes = Vec::new();
    // One that is deregistered cannot be heard any more.
    for server in silent.into_iter().filter(|server| !server.is_deregistered()) {
        let by_age = server
            .last_seen
            .and_then(|at| health::by_age(at, heard_since, now, limits));
        let assessment = by_age.map(|assessment| explain(assessment, &server, now));
        if let Some(assessment) = assessment.filter(|assessment| assessment.state != server.state) {
            changes.push((server, assessment));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let common = read_common_silence(app, heard_since, now, limits).await?;
    let mut is_news = false;
    for (server, assessment) in &changes {
        let transition = Transition {
            node: &server.name,
            from: server.state,
            to: assessment,
            at: now,
            cause: if common.is_some() { Cause::Shared } else { Cause::Node },
        };
        let last_seen = server.last_seen;
        let is_changed = transact(db, |tx| async move { age(&tx, transition, last_seen).await }).await?;
        is_news |= is_changed && server.state != NodeState::Stale;
    }
    // The last of them fell silent only now.
    if let Some(CommonSilence { nodes, within }) = common.filter(|_| is_news) {
        let within = format!("{} s", (within.num_milliseconds() + 500) / 1000);
        error!(
            nodes,
            within, "All nodes fell silent together: the bus or the network between is the likely cause, not the nodes"
        );
    }
    Ok(())
}

/// Whether all nodes that were there fell silent together. One that is cut off the bus has a reason of its own.
async fn read_common_silence(
    app: &App,
    heard_since: DateTime<Utc>,
    now: DateTime<Utc>,
    limits: HealthConfig,
) -> Result<Option<CommonSilence>, DbErr> {
    let heard_of = server::Entity::find()
        .filter(server::Column::LastSeen.is_not_null())
        .all(&app.db)
        .await?;
    let could_speak = heard_of
        .iter()
        .filter(|server| server.cut_off_until.is_none_or(|until| until <= now));
    let last_seen: Vec<DateTime<Utc>> = could_speak.filter_map(|server| server.last_seen).collect();
    Ok(common_silence(&last_seen, heard_since, now, limits))
}

/// A node that is cut off the bus cannot send heartbeats.
fn explain(assessment: Assessment, server: &server::Model, now: DateTime<Utc>) -> Assessment {
    let Some(until) = server.cut_off_until.filter(|until| *until > now) else {
        return assessment;
    };
    let what = server.over_budget.as_deref().unwrap_or("it sends too much");
    let until = shown_time(until);
    Assessment {
        reason: Some(format!("cut off the bus until {until}: {what}")),
        ..assessment
    }
}

/// Changes the state, adds a sample to the history, and records it in the trail. That a node is silent is not in its hand, so this needs no
/// room of its own. A node whose heartbeat was being recorded meanwhile, since `last_seen`, is not silent. Returns whether this made the
/// change.
async fn age(
    transaction: &DatabaseTransaction,
    transition: Transition<'_>,
    last_seen: Option<DateTime<Utc>>,
) -> Result<bool, DbErr> {
    let locked = server::Entity::find_by_name(transition.node.clone()).lock(LockType::NoKeyUpdate);
    let found = locked.one(transaction).await?;
    if found.is_none_or(|server| server.last_seen != last_seen) {
        return Ok(false);
    }
    let Some(entry) = change_state(transaction, transition).await? else {
        return Ok(false);
    };
    let sample = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "INSERT INTO health_history (server_id, at, state, reason, sessions, bytes_in, bytes_out)
             SELECT server_id, $2, $3, $4, sessions, bytes_in, bytes_out FROM health_status WHERE server_id = $1",
        [
            transition.node.clone().into(),
            transition.at.into(),
            transition.to.state.as_str().into(),
            transition.to.reason.clone().into(),
        ],
    );
    transaction.execute_raw(sample).await?;
    audit::record_one(transaction, entry).await?;
    Ok(true)
}
