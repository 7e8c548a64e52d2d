//! What was forgiven of one period is no credit in a shorter one.

use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel as _};
use vpnmanager_entities::user;

use super::read::read_forgiven;

/// Keeps of what was forgiven the bytes in the period of the quota that holds for the user now: of more, traffic of today that is still to come would
/// be taken off. Without a quota all is kept. The row of the user must be locked. Gives the user as it is then.
pub(in crate::ops) async fn keep_forgiven(
    transaction: &DatabaseTransaction,
    user: user::Model,
) -> Result<user::Model, DbErr> {
    if user.traffic_forgiven == 0 {
        return Ok(user);
    }
    match read_forgiven(transaction, &user).await? {
        Some(forgiven) if forgiven != user.traffic_forgiven => {
            let mut row = user.into_active_model();
            row.traffic_forgiven = Set(forgiven);
            row.update(transaction).await
        }
        Some(_) | None => Ok(user),
    }
}
