//! Moves a node to another pool. Its users stay in theirs.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel, QuerySelect, sea_query::LockType,
};
use vpnmanager_entities::server;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, node_snapshot},
        nodes::{
            one_at_a_time::one_at_a_time,
            read::{self, NodeView},
        },
        placement::withdraw::withdraw_all,
        transact::transact,
    },
};

/// Why a node was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveNodeError {
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// No other node of its pool could take its users.
    #[error("no other server of its pool could take its users")]
    NowhereToGo {
        /// The pool that it is in.
        pool: String,
    },
    /// The database failed.
    #[error("recording the move failed")]
    Database(#[from] DbErr),
}

/// Moves a node. It removes all its users: they stay in the pool that they are in, on its other nodes. Then it gets users of the new pool.
/// Moving it where it is does nothing.
pub async fn move_node(app: &App, actor: &Actor, node: &NodeId, pool: &NodeId) -> Result<NodeView, MoveNodeError> {
    transact(&app.db, |tx| async move { record(&tx, actor, node, pool).await }).await?;
    app.wake_publishers();
    app.placer.wake();
    let view = read::get_node(app, node).await?;
    view.ok_or(MoveNodeError::UnknownServer)
}

async fn record(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &NodeId,
    pool: &NodeId,
) -> Result<(), MoveNodeError> {
    one_at_a_time(transaction).await?;
    let found = server::Entity::find_by_name(node.clone())
        .lock(LockType::NoKeyUpdate)
        .one(transaction)
        .await?;
    let before = found.ok_or(MoveNodeError::UnknownServer)?;
    if before.pool == pool.as_str() {
        return Ok(());
    }
    let withdrawn = withdraw_all(transaction, &before).await?;
    let withdrawn = withdrawn.ok_or_else(|| MoveNodeError::NowhereToGo {
        pool: before.pool.clone(),
    })?;
    let mut row = before.clone().into_active_model();
    // What its agent is configured for is compared anew at its next handshake.
    row.asked_pool = Set(before.asked_pool.clone().filter(|asked| asked != pool.as_str()));
    row.pool = Set(pool.to_string());
    let after = row.update(transaction).await?;
    let entry = Entry::new(actor, AuditAction::NodeMoved, node)
        .details(format!(
            "{} users leave it, of whom {} were homed on it",
            withdrawn.users, withdrawn.homed
        ))
        .before(node_snapshot(&before))
        .after(node_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(())
}
