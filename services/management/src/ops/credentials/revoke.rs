//! Revokes the credentials of a user.

use chrono::Utc;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::credential;

/// Revokes all credentials of the user that are still valid, and returns how many.
pub async fn revoke_credentials(transaction: &DatabaseTransaction, user_id: i64) -> Result<u64, DbErr> {
    let revoked = credential::Entity::update_many()
        .col_expr(credential::Column::RevokedAt, Expr::value(Utc::now()))
        .filter(Expr::col(credential::Column::UserId).eq(user_id))
        .filter(credential::Column::RevokedAt.is_null())
        .exec(transaction)
        .await?;
    Ok(revoked.rows_affected)
}
