//! Removes a node from the fleet: revokes its bus key, gives its users another home, and ends its placements.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    Statement,
    sea_query::{Expr, ExprTrait},
};
use tracing::{info, warn};
use vpnmanager_entities::{placement, server, user};
use vpnmanager_nats::{
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
    topology::TopologyError,
};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    app::App,
    bus_access::EnforceError,
    domain::{actor::Actor, audit_action::AuditAction, placement::Heirs},
    ops::{
        audit::{self, Entry, node_snapshot},
        credentials::revoke_node::{self, NodeCredentials},
        nodes::{ask::ask_node, bus_keys::revoke_bus_key, one_at_a_time::one_at_a_time},
        placement::{choose_homes::choose_homes, hand_over::hand_over},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
        users::end_removals::end_removals,
    },
};

/// How long the revocation waits for the node's answer.
const RETIRE_WITHIN: Duration = Duration::from_millis(500);

/// Why a deregistration failed. After [`Self::Revoke`] and [`Self::Topology`] it is recorded in the database, and a background task repeats
/// the rest.
#[derive(Debug, thiserror::Error)]
pub enum DeregisterNodeError {
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// The NATS server does not know of the revocation yet.
    #[error("revoking the node's bus key failed")]
    Revoke(#[source] EnforceError),
    /// The node's commands are still in the stream; the node cannot read them, because its key is revoked.
    #[error("removing the node's commands failed")]
    Topology(#[source] TopologyError),
    /// The database failed.
    #[error("recording the deregistration failed")]
    Database(#[from] DbErr),
}

/// Removes a node from the fleet permanently. With [`NodeCredentials::Revoke`] a node that was deregistered before may be named again, to
/// have its credentials revoked after all.
pub async fn deregister_node(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    credentials: NodeCredentials,
) -> Result<(), DeregisterNodeError> {
    transact(&app.db, |tx| async move {
        record_end(&tx, app, actor, node, credentials).await
    })
    .await?;
    app.revocations.wake();
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

/// Tells the node to stop serving while its bus key still works. Later the node cannot be reached over the bus.
async fn retire(app: &App, node: &NodeId) {
    let request = NodeRequest::Retire {
        reason: "this node was deregistered".to_owned(),
    };
    let answered = tokio::time::timeout(RETIRE_WITHIN, ask_node(app, node, request)).await;
    match answered.map(|answer| answer.map(NodeAnswer::into_done)) {
        Ok(Ok(Ok(()))) => info!(node.id = %node, "A deregistered node has stopped serving"),
        Ok(Ok(Err(reason))) => warn!(node.id = %node, error = %reason, "A deregistered node may still be serving"),
        Ok(Err(error)) => {
            warn!(node.id = %node, error = %chain(&error), "A deregistered node may still be serving")
        }
        Err(_) => warn!(node.id = %node, "A deregistered node did not answer and may still be serving"),
    }
}

async fn record_end(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    node: &NodeId,
    credentials: NodeCredentials,
) -> Result<(), DeregisterNodeError> {
    one_at_a_time(transaction).await?;
    let found = server::Entity::find_by_name(node.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    // Before users are locked: the task that revokes locks its row before users too.
    let revokes = match credentials {
        NodeCredentials::Keep => false,
        NodeCredentials::Revoke => revoke_node::ask_for(transaction, actor, node).await?,
    };
    let server = match found {
        Some(server) => server,
        None if revokes => return Ok(()),
        None => return Err(DeregisterNodeError::UnknownServer),
    };
    revoke_bus_key(transaction, &server.bus_public_key, node).await?;
    let moved = leave_users(transaction, node, &app.config.server_id).await?;
    server::Entity::delete_by_id(server.id).exec(transaction).await?;
    forget_totals(transaction, node).await?;
    let entry = Entry::new(actor, AuditAction::NodeDeregistered, node)
        .details(format!("{moved} users were homed on it"))
        .before(node_snapshot(&server));
    audit::record_one(transaction, entry).await?;
    Ok(())
}

/// Deletes what was counted of a node without placements. Changes first: one that is being added to the totals now is waited for.
async fn forget_totals(transaction: &DatabaseTransaction, node: &NodeId) -> Result<(), DbErr> {
    for table in ["node_total_changes", "node_totals"] {
        let statement = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            format!("DELETE FROM {table} WHERE server_id = $1"),
            [node.clone().into()],
        );
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// Deletes the node's placements. Each user whose home it was gets one of its standbys as home, if possible one that
/// [`may_inherit`](crate::domain::placement::may_inherit). Returns how many users got another home.
async fn leave_users(transaction: &DatabaseTransaction, node: &NodeId, recorder: &str) -> Result<usize, DbErr> {
    let ids = async |sql: &'static str| {
        let backend = transaction.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [node.clone().into()]);
        let found = UserId::find_by_statement(statement).all(transaction).await?;
        Ok::<Vec<i64>, DbErr>(found.into_iter().map(|user| user.id).collect())
    };
    // Every change locks users before placements, and in the order of their ids, so there is no deadlock.
    let placed = ids(
        "SELECT id FROM users WHERE id IN (SELECT user_id FROM placements WHERE server_id = $1) ORDER BY id FOR UPDATE",
    );
    let placed = placed.await?;
    // In the order in which the publisher records them: no deadlock with it either.
    ids("SELECT id FROM placements WHERE server_id = $1 ORDER BY id FOR UPDATE").await?;
    placement::Entity::delete_many()
        .filter(placement::Column::ServerId.eq(node.clone()))
        .exec(transaction)
        .await?;
    user::Entity::update_many()
        .col_expr(user::Column::Revision, Expr::col(user::Column::Revision).add(1))
        .col_expr(user::Column::Synced, Expr::value(false))
        .filter(user::Column::Id.eq_any(placed.clone()))
        .filter(user::Column::RemovedAt.is_null())
        .exec(transaction)
        .await?;
    end_removals(transaction, &placed, recorder).await?;
    let homed = ids("SELECT id FROM users WHERE server_id = $1 AND removed_at IS NULL ORDER BY id").await?;
    let moves = choose_homes(transaction, &homed, Heirs::Any).await?;
    hand_over(transaction, &moves).await?;
    want_newest(transaction, &placed, Urgency::Ordinary).await?;
    Ok(moves.len())
}
