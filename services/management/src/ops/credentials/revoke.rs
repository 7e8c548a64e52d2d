//! Revokes the credentials of a user.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::{device::DeviceName, ids::CommonName};

/// Revokes all credentials of the user that are still valid.
pub async fn revoke_all(transaction: &DatabaseTransaction, user_id: i64) -> Result<(), DbErr> {
    revoke(transaction, user_id, None).await.map(drop)
}

/// Revokes all credentials of one device of the user that are still valid, and returns their names, the oldest first.
pub async fn revoke_of_device(
    transaction: &DatabaseTransaction,
    user_id: i64,
    device: &DeviceName,
) -> Result<Vec<CommonName>, DbErr> {
    revoke(transaction, user_id, Some(device)).await
}

/// Revokes those credentials of the user that no node has a certificate for, so that nobody can use them.
pub async fn revoke_unsigned(transaction: &DatabaseTransaction, user_id: i64) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL AND public_key_sha256 IS NULL",
        [user_id.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

/// Revokes the credentials with these row ids that are still valid.
pub(in crate::ops) async fn revoke_these(
    transaction: &DatabaseTransaction,
    credentials: Vec<i64>,
) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials SET revoked_at = now() WHERE id = ANY($1) AND revoked_at IS NULL",
        [credentials.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}

#[derive(FromQueryResult)]
struct Revoked {
    common_name: CommonName,
}

async fn revoke(
    transaction: &DatabaseTransaction,
    user_id: i64,
    device: Option<&DeviceName>,
) -> Result<Vec<CommonName>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH revoked AS (
             UPDATE credentials SET revoked_at = now()
             WHERE user_id = $1 AND ($2::text IS NULL OR device = $2) AND revoked_at IS NULL
             RETURNING id, common_name)
         SELECT common_name FROM revoked ORDER BY id",
        [user_id.into(), device.map(ToString::to_string).into()],
    );
    let revoked = Revoked::find_by_statement(statement).all(transaction).await?;
    Ok(revoked.into_iter().map(|revoked| revoked.common_name).collect())
}
