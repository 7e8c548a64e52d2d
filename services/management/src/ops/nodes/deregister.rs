//! Removes a node from the fleet: revokes its bus key, makes it stop serving, and takes its users off it.

use std::time::Duration;

use chrono::Utc;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel, QuerySelect};
use tracing::{info, warn};
use vpnmanager_entities::server;
use vpnmanager_nats::{
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
    topology::TopologyError,
};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    app::App,
    bus_access::EnforceError,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, node_snapshot},
        credentials::revoke_node::{self, NodeCredentials},
        in_turn::transact_on_fleet,
        nodes::{
            ask::ask_node,
            bus_keys::revoke_bus_key,
            leave::{LeaveFleetError, leave_fleet},
            one_at_a_time::one_at_a_time,
        },
        old_certificates::revoke::revoke_of_node,
        placement::withdraw::count_on,
    },
};

/// How long the revocation waits for the node's answer.
const RETIRE_WITHIN: Duration = Duration::from_millis(500);

/// Why a deregistration failed. Except after [`Self::UnknownServer`] it may be recorded in the database, and then background tasks do the rest;
/// the node's row stays until they have.
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
    transact_on_fleet(app, |tx| async move { record(&tx, actor, node, credentials).await }).await?;
    app.revocations.wake();
    retire(app, node).await;
    let enforced = app.bus_access.enforce(&app.db).await;
    let left = leave_fleet(app, node).await;
    enforced.map_err(DeregisterNodeError::Revoke)?;
    left.map_err(|error| match error {
        LeaveFleetError::Topology(error) => DeregisterNodeError::Topology(error),
        LeaveFleetError::Database(error) => DeregisterNodeError::Database(error),
    })
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

/// Records that the node is deregistered. Its users leave it afterwards.
async fn record(
    transaction: &DatabaseTransaction,
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
        Some(server) if server.is_deregistered() => return Ok(()),
        Some(server) => server,
        None if revokes => return Ok(()),
        None => return Err(DeregisterNodeError::UnknownServer),
    };
    revoke_bus_key(transaction, &server.bus_public_key, node).await?;
    let on = count_on(transaction, node).await?;
    let old = revoke_of_node(transaction, node).await?;
    let mut details = format!("{} users were homed on it", on.homed);
    if old > 0 {
        details = format!("{details}; {old} certificates of its old server are revoked");
    }
    let entry = Entry::new(actor, AuditAction::NodeDeregistered, node)
        .details(details)
        .before(node_snapshot(&server));
    let mut row = server.into_active_model();
    row.leaving_since = Set(Some(Utc::now()));
    row.leaving_for = Set(None);
    row.update(transaction).await?;
    audit::record_one(transaction, entry).await?;
    Ok(())
}
