//! Taking a node out of the fleet: its bus key is revoked, its users are homed elsewhere, nothing waits for it any more.

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
        nodes::{ask::ask_node, bus_keys::revoke_bus_key},
        placement::hand_over::{choose_homes, hand_over},
        publications::make_due::want_newest,
        transact::{FromDatabase, transact},
        users::end_removals::end_removals,
    },
};

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
pub async fn deregister_node(app: &App, actor: &Actor, node: &NodeId) -> Result<(), DeregisterNodeError> {
    transact(&app.db, |tx| async move { record_end(&tx, app, actor, node).await }).await?;
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
        Ok(Err(error)) => {
            warn!(node.id = %node, error = %chain(&error), "A node that leaves the fleet may go on serving")
        }
        Err(_) => warn!(node.id = %node, "A node that leaves the fleet did not answer and may go on serving"),
    }
}

async fn record_end(
    transaction: &DatabaseTransaction,
    app: &App,
    actor: &Actor,
    node: &NodeId,
) -> Result<(), DeregisterNodeError> {
    let found = server::Entity::find_by_name(node.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let server = found.ok_or(DeregisterNodeError::UnknownServer)?;
    revoke_bus_key(transaction, &server.bus_public_key, node).await?;
    let moved = leave_users(transaction, node, &app.config.server_id).await?;
    server::Entity::delete_by_id(server.id).exec(transaction).await?;
    let entry = Entry::new(actor, AuditAction::NodeDeregistered, node)
        .details(format!("{moved} users were homed on it"))
        .before(node_snapshot(&server));
    audit::record_one(transaction, entry).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// Ends the node's placements. A standby becomes the home of each user that was homed here, a fit one where there is one. Gives how
/// many users got another home.
async fn leave_users(transaction: &DatabaseTransaction, node: &NodeId, recorder: &str) -> Result<usize, DbErr> {
    let ids = async |sql: &'static str| {
        let backend = transaction.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [node.clone().into()]);
        let found = UserId::find_by_statement(statement).all(transaction).await?;
        Ok::<Vec<i64>, DbErr>(found.into_iter().map(|user| user.id).collect())
    };
    // Users before placements and in the order of their ids, as every change does it: no deadlock.
    let placed = ids(
        "SELECT id FROM users WHERE id IN (SELECT user_id FROM placements WHERE server_id = $1) ORDER BY id FOR UPDATE",
    );
    let placed = placed.await?;
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
    want_newest(transaction, &placed).await?;
    Ok(moves.len())
}
