//! Sets nodes that are silent for too long to stale, and later to lost.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement,
    sea_query::LockType,
};
use vpnmanager_entities::server::{self, NodeState};

use crate::{
    app::App,
    domain::health::{self, Assessment},
    ops::{
        audit,
        nodes::{
            change_state::{Transition, change_state},
            note_deafness::heard_since,
        },
        transact::transact,
    },
};

/// Assesses every node by the age of its last heartbeat. Each change of state gets an audit entry and a sample in the history. All
/// replicas may run this at the same time: only one of them makes the change.
///
/// The silence of a node counts from when every replica could hear: while one is behind, or drops what nodes send, nobody is called stale
/// or lost.
pub async fn assess_ages(app: &App) -> Result<(), DbErr> {
    let (db, limits) = (&app.db, app.config.health);
    let now = Utc::now();
    let heard_since = heard_since(app).await?;
    let silent_since = now - limits.stale_after;
    let silent = server::Entity::find()
        .filter(server::COLUMN.last_seen.lt(silent_since))
        .filter(server::Column::State.ne(NodeState::Lost))
        .all(db)
        .await?;
    for server in silent {
        let Some(assessment) = server
            .last_seen
            .and_then(|at| health::by_age(at, heard_since, now, limits))
        else {
            continue;
        };
        let assessment = explain(assessment, &server, now);
        if assessment.state == server.state {
            continue;
        }
        let transition = Transition {
            node: &server.name,
            from: server.state,
            to: &assessment,
            at: now,
        };
        let last_seen = server.last_seen;
        transact(db, |tx| async move { age(&tx, transition, last_seen).await }).await?;
    }
    Ok(())
}

/// A node that is cut off the bus cannot send heartbeats.
fn explain(assessment: Assessment, server: &server::Model, now: DateTime<Utc>) -> Assessment {
    let Some(until) = server.cut_off_until.filter(|until| *until > now) else {
        return assessment;
    };
    let what = server.over_budget.as_deref().unwrap_or("it sends too much");
    let until = until.format("%Y-%m-%dT%H:%M:%SZ");
    Assessment {
        reason: Some(format!("cut off the bus until {until}: {what}")),
        ..assessment
    }
}

/// Changes the state, adds a sample to the history, and records it in the trail. That a node is silent is not in its hand, so this needs no
/// room of its own. A node whose heartbeat was being recorded meanwhile, since `last_seen`, is not silent.
async fn age(
    transaction: &DatabaseTransaction,
    transition: Transition<'_>,
    last_seen: Option<DateTime<Utc>>,
) -> Result<(), DbErr> {
    let locked = server::Entity::find_by_name(transition.node.clone()).lock(LockType::NoKeyUpdate);
    let found = locked.one(transaction).await?;
    if found.is_none_or(|server| server.last_seen != last_seen) {
        return Ok(());
    }
    if let Some(entry) = change_state(transaction, transition).await? {
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
    }
    Ok(())
}
