//! Deletes a group that nobody is in.

use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect};
use vpnmanager_entities::{group, own_group};
use vpnmanager_nats::groups::GroupName;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, group_snapshot},
        groups::{read::count_users, tell::raise_revision},
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_all},
    },
};

/// Why a group was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum RemoveGroupError {
    /// There is no such group.
    #[error("there is no such group")]
    UnknownGroup,
    /// It is the group of users that are put into no other one.
    #[error("users that are put into no group are in this one")]
    IsDefault,
    /// So many users are in it.
    #[error("{0} users are in the group")]
    InUse(i64),
    /// The database failed.
    #[error("recording the removal failed")]
    Database(#[from] DbErr),
}

/// Deletes a group without members, and has all nodes asked for a handshake.
pub async fn remove_group(app: &App, actor: &Actor, name: &GroupName) -> Result<(), RemoveGroupError> {
    transact_on_fleet(app, |tx| async move { record(app, &tx, actor, name).await }).await
}

async fn record(
    app: &App,
    transaction: &DatabaseTransaction,
    actor: &Actor,
    name: &GroupName,
) -> Result<(), RemoveGroupError> {
    one_at_a_time(transaction).await?;
    // Nodes before the group, as everywhere.
    request_all(transaction).await?;
    // Whoever puts a user into it holds it until that is done.
    let found = group::Entity::find_by_group_name(name)
        .lock_exclusive()
        .one(transaction)
        .await?;
    let group = found.ok_or(RemoveGroupError::UnknownGroup)?;
    if group.name.is_default() {
        return Err(RemoveGroupError::IsDefault);
    }
    let users = count_users(transaction, std::slice::from_ref(name)).await?;
    let users = users.get(name).copied().unwrap_or_default();
    if users > 0 {
        return Err(RemoveGroupError::InUse(users));
    }
    own_group::Entity::delete_many()
        .filter(own_group::Column::GroupName.eq(name.clone()))
        .exec(transaction)
        .await?;
    group::Entity::delete_by_id(group.id).exec(transaction).await?;
    raise_revision(transaction).await?;
    let entry = Entry::new(actor, AuditAction::GroupDeleted, &app.config.server_id).before(group_snapshot(&group));
    audit::record_one(transaction, entry).await?;
    Ok(())
}
