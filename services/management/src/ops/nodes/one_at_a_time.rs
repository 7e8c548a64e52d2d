//! Changes of nodes, pools and groups come one after the other: two drains at once must not leave a pool without a node, two deregistrations
//! must not wait for each other, no node must get into a pool that is being deleted, and no group must name it.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

/// Waits until no other transaction changes a node, a pool or a group, and keeps the others waiting until this one ends. It comes before every other lock.
pub(in crate::ops) async fn one_at_a_time(transaction: &DatabaseTransaction) -> Result<(), DbErr> {
    let lock = "SELECT pg_advisory_xact_lock(7816539210442)";
    transaction.execute_unprepared(lock).await.map(drop)
}
