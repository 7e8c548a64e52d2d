//! Locks a living user by name, as the first step of every change.

use sea_orm::{DatabaseTransaction, DbErr, QuerySelect};
use vpnmanager_entities::user;
use vpnmanager_nats::username::Username;

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LivingUserError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
    /// The database failed.
    #[error("recording the change failed")]
    Database(#[from] DbErr),
}

/// Reads the user and locks its row until the transaction ends.
pub(crate) async fn locked_user(
    transaction: &DatabaseTransaction,
    username: &Username,
) -> Result<user::Model, LivingUserError> {
    let found = user::Entity::find_living_by_username(username)
        .lock_exclusive()
        .one(transaction)
        .await?;
    found.ok_or(LivingUserError::UnknownUser)
}
