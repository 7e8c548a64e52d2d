//! Leaves the drain of a node to the operator who asked for one.

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, Statement};
use vpnmanager_nats::ids::NodeId;

/// The rollout that drains the node, if there is one, does not end its drain. Gives whether there is. The caller holds what keeps changes of nodes
/// apart.
pub(in crate::ops) async fn leave_drained(transaction: &DatabaseTransaction, node: &NodeId) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE rollout_nodes n SET drained = false FROM rollouts r
         WHERE r.id = n.rollout_id AND r.ended_at IS NULL
           AND n.server_id = $1 AND n.drained AND n.state IN ('draining', 'restarting')",
        [node.clone().into()],
    );
    let left = transaction.execute_raw(statement).await?;
    Ok(left.rows_affected() > 0)
}
