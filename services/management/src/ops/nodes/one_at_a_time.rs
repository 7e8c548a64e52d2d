//! Changes of nodes come one after the other: two drains at once must not leave a pool without a node, and two deregistrations must not
//! wait for each other.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

/// Waits until no other transaction changes a node, and keeps the others waiting until this one ends.
pub(super) async fn one_at_a_time(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let lock = "SELECT pg_advisory_xact_lock(7816539210442)";
    transaction.execute_unprepared(lock).await.map(drop)
}
