//! Drains, disables and enables nodes.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel, QuerySelect};
use vpnmanager_entities::server::{self, NodeState};
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, node_snapshot},
        credentials::revoke_node::{self, NodeCredentials},
        nodes::{
            one_at_a_time::one_at_a_time,
            read::{self, NodeView},
        },
        placement::read_fleet::read_fleet,
        transact::transact,
    },
};

/// A change that an operator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeChange {
    /// Its clients are moved away, new ones too, and no user is placed on it.
    Drain,
    /// Its clients are no longer moved away.
    Undrain,
    /// No new user is placed on it, and new profiles do not name it. It still serves the users that it holds.
    Disable(NodeCredentials),
    /// New users are placed on it again.
    Enable,
}

impl NodeChange {
    /// The action in the audit trail.
    fn action(self) -> AuditAction {
        match self {
            Self::Drain => AuditAction::NodeDrained,
            Self::Undrain => AuditAction::NodeUndrained,
            Self::Disable(_) => AuditAction::NodeDisabled,
            Self::Enable => AuditAction::NodeEnabled,
        }
    }
}

/// Why a node was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeNodeError {
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// No other node of the pool could take its clients.
    #[error("no other server could take its clients")]
    NowhereToGo,
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Records the change; background tasks carry it out. Repeating a change does nothing and is not audited.
pub async fn change_node(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    change: NodeChange,
) -> Result<NodeView, ChangeNodeError> {
    transact(
        &app.db,
        |tx| async move { record_change(&tx, actor, node, change).await },
    )
    .await?;
    app.drains.wake();
    app.placer.wake();
    app.revocations.wake();
    let view = read::get_node(app, node).await?;
    view.ok_or(ChangeNodeError::UnknownServer)
}

async fn record_change(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &NodeId,
    change: NodeChange,
) -> Result<(), ChangeNodeError> {
    one_at_a_time(transaction).await?;
    let found = server::Entity::find_by_name(node.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let before = found.filter(|server| !server.is_deregistered());
    let before = before.ok_or(ChangeNodeError::UnknownServer)?;
    if change == NodeChange::Disable(NodeCredentials::Revoke) {
        revoke_node::ask_for(transaction, actor, node).await?;
    }
    let (enabled, draining) = match change {
        NodeChange::Drain => (before.enabled, true),
        NodeChange::Undrain => (before.enabled, false),
        NodeChange::Disable(_) => (false, before.draining),
        NodeChange::Enable => (true, before.draining),
    };
    if (enabled, draining) == (before.enabled, before.draining) {
        return Ok(());
    }
    if change == NodeChange::Drain && !has_others(transaction, &before).await? {
        return Err(ChangeNodeError::NowhereToGo);
    }
    let mut row = before.clone().into_active_model();
    row.enabled = Set(enabled);
    row.draining = Set(draining);
    let after = row.update(transaction).await?;
    let entry = Entry::new(actor, change.action(), node)
        .before(node_snapshot(&before))
        .after(node_snapshot(&after));
    audit::record_one(transaction, entry).await?;
    Ok(())
}

/// Whether another node of the pool can take the clients. Those of a node that runs OpenVPN find none on one that does not.
async fn has_others(transaction: &DatabaseTransaction, leaving: &server::Model) -> Result<bool, DbErr> {
    let fleet = read_fleet(transaction).await?;
    let in_pool = fleet.servers().iter().filter(|server| server.pool == leaving.pool);
    let mut others = in_pool.filter(|server| server.name != leaving.name && server.state != NodeState::Lost);
    Ok(others.any(|server| fleet.is_candidate(server)))
}
