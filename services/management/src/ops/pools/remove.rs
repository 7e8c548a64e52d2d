//! Deletes a pool that nobody is in.

use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder};
use vpnmanager_entities::{group, pool};
use vpnmanager_nats::{
    groups::GroupName,
    ids::{DEFAULT_POOL, NodeId},
};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, pool_snapshot},
        in_turn::transact_on_fleet,
        nodes::one_at_a_time::one_at_a_time,
        pools::read::{self, Members},
    },
};

/// Why a pool was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemovePoolError {
    /// There is no such pool.
    #[error("there is no such pool")]
    UnknownPool,
    /// It is the pool of users and nodes that name none.
    #[error("users and servers that name no pool are in this one")]
    IsDefault,
    /// Nodes or users are in it.
    #[error("somebody is in the pool")]
    InUse(Members),
    /// This group places its new members in it.
    #[error("the group {0} places its new members in the pool")]
    OfGroup(GroupName),
    /// The database failed.
    #[error("recording the removal failed")]
    Database(#[from] DbErr),
}

/// Deletes a pool without nodes and users that no group names.
pub async fn remove_pool(app: &App, actor: &Actor, name: &NodeId) -> Result<(), RemovePoolError> {
    transact_on_fleet(app, |tx| async move { record(app, &tx, actor, name).await }).await
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    name: &NodeId,
) -> Result<(), RemovePoolError> {
    // No node gets into the pool meanwhile, and without one no user.
    one_at_a_time(transaction).await?;
    let found = read::get_pool(transaction, name).await?;
    let found = found.ok_or(RemovePoolError::UnknownPool)?;
    if *name == DEFAULT_POOL {
        return Err(RemovePoolError::IsDefault);
    }
    if found.members != Members::default() {
        return Err(RemovePoolError::InUse(found.members));
    }
    // No group names it meanwhile: changes of groups wait too.
    let of_group = group::Entity::find()
        .filter(group::Column::Pool.eq(name.clone()))
        .order_by_asc(group::Column::Name)
        .one(transaction)
        .await?;
    if let Some(group) = of_group {
        return Err(RemovePoolError::OfGroup(group.name));
    }
    pool::Entity::delete_by_id(found.pool.id).exec(transaction).await?;
    let entry = Entry::new(actor, AuditAction::PoolDeleted, &app.config.server_id).before(pool_snapshot(&found.pool));
    audit::record_one(transaction, entry).await?;
    Ok(())
}
