//! The devices of users: the names of their credentials that are not revoked.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::device::DeviceName;

/// A device of a user.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct UserDevice {
    /// The id of the user's row.
    pub user_id: i64,
    /// The device.
    pub device: DeviceName,
}

/// Reads the devices of these users, the oldest first.
pub async fn devices_of(db: &impl ConnectionTrait, users: &[i64]) -> Result<Vec<UserDevice>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT user_id, device FROM credentials WHERE user_id = ANY($1) AND revoked_at IS NULL
         GROUP BY user_id, device ORDER BY user_id, min(id)",
        [users.to_vec().into()],
    );
    UserDevice::find_by_statement(statement).all(db).await
}
