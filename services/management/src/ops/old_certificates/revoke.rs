//! Revokes certificates of old servers, all of a user or all of a node.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use vpnmanager_nats::ids::NodeId;

use crate::ops::count::count;

/// Revokes all of the user.
pub(in crate::ops) async fn revoke_of_user(transaction: &DatabaseTransaction, user_id: i64) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE old_certificates SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL",
        [user_id.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// Revokes all that the node accepts, which leaves the fleet, and gives how many those were. Nobody is told: its users are taken off it.
pub(in crate::ops) async fn revoke_of_node(transaction: &DatabaseTransaction, node: &NodeId) -> Result<i64, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE old_certificates SET revoked_at = now() WHERE server_id = $1 AND revoked_at IS NULL",
        [node.to_string().into()],
    );
    let revoked = transaction.execute_raw(statement).await?.rows_affected();
    Ok(count(revoked))
}
