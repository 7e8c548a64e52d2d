//! A living user by name, locked: how every change of one begins; and what such changes share.

use chrono::Utc;
use sea_orm::{
    DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::{credential, user};
use vpnmanager_nats::username::Username;

use crate::ops::transact::FromDatabase;

/// Why a living user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum LivingUserError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
    /// The database did not do it.
    #[error("recording the change failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for LivingUserError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl FromDatabase for LivingUserError {
    fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::UnknownUser => None,
        }
    }
}

/// The user, who stays as it is until the transaction ends.
///
/// # Errors
/// See [`LivingUserError`].
pub(super) async fn lock_living(
    transaction: &DatabaseTransaction,
    username: &Username,
) -> Result<user::Model, LivingUserError> {
    let found = user::Entity::find_living_by_username(username.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    found.ok_or(LivingUserError::UnknownUser)
}

/// Lets nobody in any more with what the user was given so far. Gives how many credentials that were.
pub(super) async fn revoke_credentials(transaction: &DatabaseTransaction, user_id: i64) -> Result<u64, DbErr> {
    let revoked = credential::Entity::update_many()
        .col_expr(credential::Column::RevokedAt, Expr::value(Utc::now()))
        .filter(Expr::col(credential::Column::UserId).eq(user_id))
        .filter(Expr::col(credential::Column::RevokedAt).is_null())
        .exec(transaction)
        .await?;
    Ok(revoked.rows_affected)
}
