//! How much a node may ask for by its local API: one request at a time, so many users in all, and so many requests in a day.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::NodeId;

use crate::domain::actor::Actor;

/// Requests of one node in a day that are recorded, beyond those for the users that it may create.
const REQUESTS_BESIDE_USERS: u32 = 1_000;
/// The advisory lock; its other half is the node. These are the letters of "inte".
const LOCK: i32 = 0x696e_7465;

#[derive(FromQueryResult)]
struct Yes {
    yes: bool,
}

async fn ask(transaction: &DatabaseTransaction, sql: &str, values: Vec<sea_orm::Value>) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    let found = Yes::find_by_statement(statement).one(transaction).await?;
    Ok(found.is_some_and(|row| row.yes))
}

/// Whether this transaction is the only one that carries out a request of the node. An honest node asks one thing after the other; of
/// one that floods no more than one request holds a connection of the database for long.
pub(super) async fn is_its_turn(transaction: &DatabaseTransaction, node: &NodeId) -> Result<bool, DbErr> {
    let sql = "SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS yes";
    ask(transaction, sql, vec![LOCK.into(), node.clone().into()]).await
}

/// Whether the node has created as many users as it may. Users that were removed do not count.
pub(super) async fn has_enough_users(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    most: u32,
) -> Result<bool, DbErr> {
    // The second condition is that of the index.
    let sql = "SELECT count(*) >= $2 AS yes FROM (
                   SELECT FROM users WHERE created_by = $1 AND created_by LIKE 'node:%' AND removed_at IS NULL LIMIT $2
               ) AS created";
    let creator = Actor::node(node).name;
    ask(transaction, sql, vec![creator.into(), i64::from(most).into()]).await
}

/// Whether the node has asked for so much in the last day that nothing more of it is recorded.
pub(super) async fn asks_too_much(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    max_users: u32,
) -> Result<bool, DbErr> {
    let most = max_users.saturating_add(REQUESTS_BESIDE_USERS);
    let sql = "SELECT count(*) >= $2 AS yes FROM (
                   SELECT FROM intents WHERE server_id = $1 AND created_at > now() - interval '1 day' LIMIT $2
               ) AS asked";
    ask(transaction, sql, vec![node.clone().into(), i64::from(most).into()]).await
}
