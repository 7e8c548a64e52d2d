//! Calling nodes stale and lost that are silent for too long.

use chrono::Utc;
use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, TransactionTrait};
use vpnmanager_entities::server::{self, NodeState};

use super::record_heartbeats::{Transition, change_state};
use crate::domain::health::{self, Thresholds};

/// Assesses every node by the age of its last heartbeat and audits each change. Safe in all replicas: one of them makes the change.
///
/// # Errors
/// When the database does not answer.
pub async fn assess_ages(db: &DatabaseConnection, thresholds: Thresholds) -> Result<(), DbErr> {
    let now = Utc::now();
    let silent_since = now - thresholds.stale_after;
    let silent = server::Entity::find()
        .filter(server::COLUMN.last_seen.lt(silent_since))
        .filter(server::Column::State.ne(NodeState::Lost))
        .all(db)
        .await?;
    for server in silent {
        let Some(assessment) = server.last_seen.and_then(|at| health::by_age(at, now, thresholds)) else {
            continue;
        };
        if assessment.state == server.state {
            continue;
        }
        let transaction = db.begin().await?;
        let transition = Transition {
            server: &server.name,
            from: server.state,
            to: &assessment,
            at: now,
        };
        change_state(&transaction, transition).await?;
        transaction.commit().await?;
    }
    Ok(())
}
