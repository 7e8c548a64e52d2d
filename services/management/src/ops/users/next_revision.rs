//! Starts the next revision of users of whom devices change.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait as _, DatabaseTransaction, DbErr, IntoActiveModel, Statement,
};
use vpnmanager_entities::user;
use vpnmanager_nats::device::DeviceName;

/// Starts the next revision, which is not synced. The columns about the profile of the device `default` are emptied if it is that one that
/// changes.
pub(crate) async fn next_revision(
    transaction: &DatabaseTransaction,
    before: &user::Model,
    device: &DeviceName,
) -> Result<user::Model, DbErr> {
    let mut row = before.clone().into_active_model();
    row.revision = Set(before.revision + 1);
    row.synced = Set(false);
    if device.is_default() {
        row.checksum = Set(None);
        row.ovpn_path = Set(None);
    }
    row.update(transaction).await
}

/// The same for many users, by row id; of those in `of_default` the device `default` changes.
pub(crate) async fn next_revisions(
    transaction: &DatabaseTransaction,
    users: &[i64],
    of_default: Vec<i64>,
) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE users SET revision = revision + 1, synced = false,
             checksum = CASE WHEN id = ANY($2) THEN NULL ELSE checksum END,
             ovpn_path = CASE WHEN id = ANY($2) THEN NULL ELSE ovpn_path END
         WHERE id = ANY($1)",
        [users.to_vec().into(), of_default.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
