//! Starts the next revision of a user of whom a device changes.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel};
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
