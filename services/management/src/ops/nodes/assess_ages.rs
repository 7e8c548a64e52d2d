//! Calling nodes stale and lost that are silent for too long.

use chrono::Utc;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, Statement, TransactionTrait,
};
use vpnmanager_entities::server::{self, NodeState};

use crate::domain::health::{self, Thresholds};
use crate::ops::nodes::record_heartbeats::{Transition, change_state};

/// Assesses every node by the age of its last heartbeat, and audits and samples each change. Safe in all replicas: one of them makes the change.
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
        if change_state(&transaction, transition).await? {
            let sample = Statement::from_sql_and_values(
                transaction.get_database_backend(),
                "INSERT INTO health_history (server_id, at, state, reason, sessions, bytes_in, bytes_out)
                 SELECT server_id, $2, $3, $4, sessions, bytes_in, bytes_out FROM health_status WHERE server_id = $1",
                [
                    server.name.as_str().into(),
                    now.into(),
                    assessment.state.as_str().into(),
                    assessment.reason.clone().into(),
                ],
            );
            transaction.execute_raw(sample).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}
