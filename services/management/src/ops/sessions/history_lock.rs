//! Keeps those apart who write the history of a node, its sessions and its traffic.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement};
use vpnmanager_nats::ids::NodeId;

/// The advisory lock; its other half is the node. These are the letters of "sess".
const LOCK: i32 = 0x7365_7373;

/// Nobody else writes the history of these nodes until the transaction ends. To be taken before any row.
pub(in crate::ops) async fn lock_history(
    transaction: &DatabaseTransaction,
    nodes: &BTreeSet<&NodeId>,
) -> Result<(), DbErr> {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    // Everybody takes them in one order.
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT pg_advisory_xact_lock($1, half)
         FROM (SELECT DISTINCT hashtext(node) AS half FROM UNNEST($2::text[]) AS t (node) ORDER BY 1) AS halves",
        [LOCK.into(), nodes.into()],
    );
    transaction.execute_raw(statement).await.map(drop)
}
