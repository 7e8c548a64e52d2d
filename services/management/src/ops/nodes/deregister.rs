//! Taking a node out of the fleet: its bus key is revoked, its users are homed elsewhere, nothing waits for it any more.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QuerySelect, Statement};
use tracing::{info, warn};
use vpnmanager_entities::server;
use vpnmanager_nats::{
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
    topology::TopologyError,
};

use crate::ops::{
    audit::{self, Entry},
    nodes::{
        ask::ask_node,
        register::{revoke, snapshot},
    },
    placement::hand_over::{Heirs, Move, choose, hand_over},
    transact::{FromDatabase, transact},
};
use crate::{app::App, bus_access::EnforceError, domain::actor::Actor};

/// The revocation does not wait longer for the node.
const RETIRE_WITHIN: Duration = Duration::from_millis(500);

/// Why a node was not taken out. After [`Self::Revoke`] and [`Self::Topology`] the database holds it, and a background task repeats the rest.
#[derive(Debug, thiserror::Error)]
pub enum DeregisterNodeError {
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// The bus server does not know of the revocation yet.
    #[error("revoking the node's bus key failed")]
    Revoke(#[source] EnforceError),
    /// The node's commands are still in the stream; without its key it cannot read them.
    #[error("removing the node's commands failed")]
    Topology(#[source] TopologyError),
    /// The database did not do it.
    #[error("recording the end of the node failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for DeregisterNodeError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl FromDatabase for DeregisterNodeError {
    fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::UnknownServer | Self::Revoke(_) | Self::Topology(_) => None,
        }
    }
}

/// Takes a node out of the fleet for good.
///
/// # Errors
/// See [`DeregisterNodeError`].
pub async fn deregister_node(app: &App, actor: &Actor, node: &NodeId) -> Result<(), DeregisterNodeError> {
    transact(&app.db, |tx| async move { record_end(&tx, actor, node).await }).await?;
    app.publisher.wake();
    app.placer.wake();
    retire(app, node).await;
    app.bus_access
        .enforce(&app.db)
        .await
        .map_err(DeregisterNodeError::Revoke)?;
    app.topology
        .remove_node(node)
        .await
        .map_err(DeregisterNodeError::Topology)
}

/// As long as it can be reached: without its bus key it would go on serving and hear of nothing.
async fn retire(app: &App, node: &NodeId) {
    let request = NodeRequest::Retire {
        reason: "this node was deregistered".to_owned(),
    };
    match tokio::time::timeout(RETIRE_WITHIN, ask_node(app, node, request)).await {
        Ok(Ok(NodeAnswer::Done)) => info!(node.id = %node, "A node that leaves the fleet serves nobody any more"),
        Ok(Ok(answer)) => warn!(node.id = %node, ?answer, "A node that leaves the fleet may go on serving"),
        Ok(Err(error)) => warn!(node.id = %node, error = %error, "A node that leaves the fleet may go on serving"),
        Err(_) => warn!(node.id = %node, "A node that leaves the fleet did not answer and may go on serving"),
    }
}

async fn record_end(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &NodeId,
) -> Result<(), DeregisterNodeError> {
    let found = server::Entity::find_by_name(node.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let server = found.ok_or(DeregisterNodeError::UnknownServer)?;
    revoke(transaction, &server.bus_public_key, &server.name).await?;

    let moved = leave_users(transaction, node).await?;
    server::Entity::delete_by_id(server.id).exec(transaction).await?;
    let entry = Entry {
        actor,
        action: "node_deregistered",
        username: None,
        server_id: server.name.clone(),
        details: Some(format!("{} users were homed on it", moved.len())),
        before: Some(snapshot(&server)),
        after: None,
    };
    audit::record(transaction, entry).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// Ends the node's placements. A standby becomes the home of each user that was homed here, a fit one where there is one.
async fn leave_users(transaction: &DatabaseTransaction, node: &NodeId) -> Result<Vec<Move>, DbErr> {
    let backend = transaction.get_database_backend();
    let run = |sql: &'static str| Statement::from_sql_and_values(backend, sql, [node.as_str().into()]);
    // Users before placements and in the order of their ids, as every change does it: no deadlock.
    let lock =
        "SELECT id FROM users WHERE id IN (SELECT user_id FROM placements WHERE server_id = $1) ORDER BY id FOR UPDATE";
    transaction.execute_raw(run(lock)).await?;
    let end = "WITH ended AS (DELETE FROM placements WHERE server_id = $1 RETURNING user_id)
         UPDATE users SET revision = revision + 1, synced = false
         WHERE removed_at IS NULL AND id IN (SELECT user_id FROM ended)";
    transaction.execute_raw(run(end)).await?;
    let gone = "DELETE FROM users u WHERE removed_at IS NOT NULL
         AND $1 <> '' AND NOT EXISTS (
             SELECT FROM placements p WHERE p.user_id = u.id AND p.applied_revision < p.wanted_revision)";
    transaction.execute_raw(run(gone)).await?;
    let homed = UserId::find_by_statement(run(
        "SELECT id FROM users WHERE server_id = $1 AND removed_at IS NULL ORDER BY id",
    ));
    let ids: Vec<i64> = homed.all(transaction).await?.into_iter().map(|user| user.id).collect();
    let moves = choose(transaction, &ids, Heirs::Any).await?;
    hand_over(transaction, &moves).await?;
    let want = "UPDATE placements p SET wanted_revision = u.revision, lease_until = 'epoch', attempts = 0
         FROM users u WHERE u.id = p.user_id AND p.wanted_revision < u.revision AND $1 <> ''";
    transaction.execute_raw(run(want)).await?;
    Ok(moves)
}
