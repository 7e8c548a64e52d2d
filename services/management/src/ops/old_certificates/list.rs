//! Lists the certificates of old servers that a user has.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait as _, QueryFilter,
};
use vpnmanager_entities::{old_certificate, user};
use vpnmanager_nats::{ids::NodeId, username::Username};

use crate::ops::{count::count, users::locked::LivingUserError};

/// Reads those of a living user that are not revoked, in the order of their import: one for each node and name, so there are few.
pub async fn list_old_certificates(
    db: &DatabaseConnection,
    username: &Username,
) -> Result<Vec<old_certificate::Model>, LivingUserError> {
    let found = user::Entity::find_living_by_username(username).one(db).await?;
    let user = found.ok_or(LivingUserError::UnknownUser)?;
    Ok(old_certificate::Entity::find_valid_of([user.id]).all(db).await?)
}

/// Counts those that the node accepts.
pub(in crate::ops) async fn count_on_node(db: &impl ConnectionTrait, node: &NodeId) -> Result<i64, DbErr> {
    let accepted = old_certificate::Entity::find()
        .filter(old_certificate::Column::ServerId.eq(node.clone()))
        .filter(old_certificate::COLUMN.revoked_at.is_null())
        .count(db)
        .await?;
    Ok(count(accepted))
}
