//! Moves a node to another pool. Its users stay in theirs.

use chrono::Utc;
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
        in_turn::transact_on_fleet,
        nodes::{
            leave::{Way, leave_pool},
            one_at_a_time::one_at_a_time,
            read::{self, NodeView},
        },
        old_certificates::list::count_on_node,
        placement::withdraw::{count_on, successors},
        pools::ensure::ensure_pool,
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
    /// Users come to it with certificates of its old server, which no other node accepts.
    #[error("the server accepts {certificates} certificates of its old server, which no other one does")]
    HasOldCertificates {
        /// How many.
        certificates: i64,
    },
    /// The database failed.
    #[error("recording the move failed")]
    Database(#[from] DbErr),
}

/// Moves a node. It removes all its users: they stay in the pool that they are in, on its other nodes. Then it is in the new pool, and gets
/// users of it. A pool that there is not is made. Moving it where it is does nothing, and ends a move that is under way.
pub async fn move_node(app: &App, actor: &Actor, node: &NodeId, pool: &NodeId) -> Result<NodeView, MoveNodeError> {
    transact_on_fleet(app, |tx| async move { record(&tx, actor, node, pool).await }).await?;
    let way = leave_pool(app, node).await?;
    let view = read::get_node(app, node).await?;
    if let (Way::Blocked, Some(view)) = (way, &view) {
        return Err(MoveNodeError::NowhereToGo {
            pool: view.server.pool.clone(),
        });
    }
    view.ok_or(MoveNodeError::UnknownServer)
}

/// Records that the node moves. Its users leave it afterwards.
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
    let before = found.filter(|server| !server.is_deregistered());
    let before = before.ok_or(MoveNodeError::UnknownServer)?;
    let moves = before.pool != pool.as_str();
    let wanted = Some(pool.to_string()).filter(|_| moves);
    if before.leaving_for == wanted {
        return Ok(());
    }
    let on = count_on(transaction, node).await?;
    if moves && on.users > 0 && successors(transaction, &before).await?.is_empty() {
        return Err(MoveNodeError::NowhereToGo { pool: before.pool });
    }
    // Its users would have to leave it, and all nodes of a user are in one pool. An import locks the row of the node before it commits, so none comes
    // meanwhile.
    let certificates = count_on_node(transaction, node).await?;
    if moves && certificates > 0 {
        return Err(MoveNodeError::HasOldCertificates { certificates });
    }
    if moves {
        ensure_pool(transaction, actor, node, pool).await?;
    }
    let mut row = before.clone().into_active_model();
    row.leaving_since = Set(moves.then(Utc::now));
    row.leaving_for = Set(wanted);
    row.update(transaction).await?;
    let after = server::Model {
        pool: pool.to_string(),
        asked_pool: before.asked_pool.clone().filter(|asked| asked != pool.as_str()),
        ..before.clone()
    };
    let entry = Entry::new(actor, AuditAction::NodeMoved, node)
        .details(match moves {
            true => format!("{} users leave it, of whom {} were homed on it", on.users, on.homed),
            false => "it stays after all".to_owned(),
        })
        .before(node_snapshot(&before))
        .after(node_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(())
}
