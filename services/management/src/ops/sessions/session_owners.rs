//! Whose sessions a node may begin in the history. A node speaks of its own users only, and who they are is management's word.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::session;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
    username::Username,
};

/// Whose credential it is.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Owner {
    common_name: CommonName,
    /// The node that may speak of it.
    node: NodeId,
    /// The row of the user; `None`: it is gone.
    pub(super) user_id: Option<i64>,
    /// The name of the user; `None`: the row is gone.
    pub(super) username: Option<Username>,
    /// The device that the credential is for; `None`: it is a certificate of the old server that the node took over.
    pub(super) device: Option<DeviceName>,
}

/// The owners of these sessions' credentials, by credential and node, where the node has a placement of the user, wanted or not, or made the
/// credential. So it may still tell of sessions from before the user was removed or moved. Certificates of the old server that the node took over are
/// told by node and name: no credential has the name of one (`domain/import/plan.rs`).
pub(super) async fn read(
    transaction: &DatabaseTransaction,
    sessions: &[&session::Model],
) -> Result<HashMap<(CommonName, NodeId), Owner>, DbErr> {
    let (names, nodes): (Vec<String>, Vec<String>) = sessions
        .iter()
        .map(|row| (row.common_name.to_string(), row.server_id.to_string()))
        .unzip();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH told AS MATERIALIZED (SELECT DISTINCT common_name, node FROM UNNEST($1::text[], $2::text[]) AS t (common_name, node))
         SELECT t.common_name, t.node, c.user_id, u.username, c.device
         FROM told AS t CROSS JOIN LATERAL (
             SELECT user_id, server_id, device, revoked_at FROM credentials WHERE common_name = t.common_name LIMIT 1) AS c
         LEFT JOIN LATERAL (
             SELECT true AS is_there FROM placements WHERE user_id = c.user_id AND server_id = t.node LIMIT 1) AS p ON true
         LEFT JOIN users u ON u.id = c.user_id
         WHERE p.is_there OR c.server_id = t.node AND (c.revoked_at IS NULL OR c.user_id IS NULL)
         UNION ALL
         SELECT t.common_name, t.node, o.user_id, u.username, NULL
         FROM told AS t CROSS JOIN LATERAL (
             SELECT user_id FROM old_certificates WHERE server_id = t.node AND common_name = t.common_name ORDER BY id DESC LIMIT 1) AS o
         LEFT JOIN users u ON u.id = o.user_id",
        [names.into(), nodes.into()],
    );
    let owners = Owner::find_by_statement(statement).all(transaction).await?;
    let owners = owners
        .into_iter()
        .map(|owner| ((owner.common_name.clone(), owner.node.clone()), owner));
    Ok(owners.collect())
}
