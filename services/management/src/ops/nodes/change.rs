//! Drains, disables and enables nodes.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel, QuerySelect};
use vpnmanager_entities::server;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, node_snapshot},
        credentials::revoke_node::{self, NodeCredentials},
        in_turn::transact_on_fleet,
        nodes::{
            one_at_a_time::one_at_a_time,
            read::{self, NodeView},
        },
        placement::read_fleet::read_fleet,
        rollouts::leave_drained::leave_drained,
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
    /// No other node of the pool could take its clients: none is open, was heard and in sync, is not lost, and serves with OpenVPN if this one does.
    #[error("no other server could take its clients")]
    NowhereToGo,
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Records the change; background tasks carry it out. Repeating a change does nothing and is not audited, but for the drain of a node that a rollout
/// drained: from then on it is an operator's.
pub async fn change_node(
    app: &App,
    actor: &Actor,
    node: &NodeId,
    change: NodeChange,
) -> Result<NodeView, ChangeNodeError> {
    transact_on_fleet(app, |tx| async move { record_change(&tx, actor, node, change).await }).await?;
    app.wake_of_drains();
    app.revocations.wake();
    let view = read::get_node(app, node).await?;
    view.ok_or(ChangeNodeError::UnknownServer)
}

/// The same in a transaction of the caller, who wakes the tasks.
pub(in crate::ops) async fn record_change(
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
        return match change {
            NodeChange::Drain => keep_drained(transaction, actor, &before).await,
            NodeChange::Undrain | NodeChange::Disable(_) | NodeChange::Enable => Ok(()),
        };
    }
    if change == NodeChange::Drain && !read_fleet(transaction).await?.has_others(&before) {
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

/// A node that drains already: it stays so, also where a rollout drained it, which would end that.
async fn keep_drained(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &server::Model,
) -> Result<(), ChangeNodeError> {
    if leave_drained(transaction, &node.name).await? {
        let as_it_is = node_snapshot(node);
        let entry = Entry::new(actor, AuditAction::NodeDrained, &node.name)
            .details("a rollout had drained it, and leaves it so")
            .before(as_it_is.clone())
            .after(as_it_is);
        audit::record_one(transaction, entry).await?;
    }
    Ok(())
}
