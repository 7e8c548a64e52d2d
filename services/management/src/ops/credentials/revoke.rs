//! Revoking what a user was given.

use chrono::Utc;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::credential;

/// Lets nobody in any more with what the user was given so far. Gives how many credentials that were.
pub async fn revoke_credentials(transaction: &DatabaseTransaction, user_id: i64) -> Result<u64, DbErr> {
    let revoked = credential::Entity::update_many()
        .col_expr(credential::Column::RevokedAt, Expr::value(Utc::now()))
        .filter(Expr::col(credential::Column::UserId).eq(user_id))
        .filter(credential::Column::RevokedAt.is_null())
        .exec(transaction)
        .await?;
    Ok(revoked.rows_affected)
}
