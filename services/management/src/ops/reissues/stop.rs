//! Ends the making of new credentials for all users of a node.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, EntityTrait, IntoActiveModel, QuerySelect};
use vpnmanager_entities::node_reissue;
use vpnmanager_nats::ids::NodeId;

use super::{NodeReissueError, forget_users, now, snapshot, why_none};
use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// Ends it: users who did not have their turn keep what they have. One that has ended stays as it is.
pub async fn stop_reissue(app: &App, actor: &Actor, node: &NodeId) -> Result<node_reissue::Model, NodeReissueError> {
    transact(&app.db, |tx| async move { record(&tx, actor, node).await }).await
}

async fn record(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &NodeId,
) -> Result<node_reissue::Model, NodeReissueError> {
    let found = node_reissue::Entity::find_by_id(node.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let Some(job) = found else {
        return Err(why_none(transaction, node).await);
    };
    if job.ended_at.is_some() {
        return Ok(job);
    }
    forget_users(transaction, node).await?;
    let mut row = job.into_active_model();
    row.ended_at = Set(Some(now()));
    row.stopped = Set(true);
    let job = row.update(transaction).await?;
    let entry = Entry::new(actor, AuditAction::NodeReissueStopped, node).after(snapshot(&job));
    audit::record_one(transaction, entry).await?;
    Ok(job)
}
