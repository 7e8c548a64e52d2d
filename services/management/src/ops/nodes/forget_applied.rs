//! A node lost what it held: nothing of it counts as applied any more.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_nats::ids::NodeId;

use crate::{app::App, ops::transact::transact};

/// Users in one transaction: who changes one of them meanwhile waits for a part of a second at most.
const BATCH: i64 = 2_000;

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// Marks everything that the node applied, removals too, as not applied, and its users as not synced. The node's acks mark them again.
/// Returns whether all is marked: it stops after `within`, because somebody waits for the answer. Call it again.
pub async fn forget_applied(app: &App, node: &NodeId, within: Duration) -> Result<bool, DbErr> {
    let (begun, mut after) = (Instant::now(), 0);
    while let Some(last) = transact(&app.db, |tx| async move { forget_some(&tx, node, after).await }).await? {
        if begun.elapsed() > within {
            return Ok(false);
        }
        after = last;
    }
    Ok(true)
}

/// Takes users in the order of their ids, beginning after `after`, and returns the last one.
async fn forget_some(transaction: &DatabaseTransaction, node: &NodeId, after: i64) -> Result<Option<i64>, DbErr> {
    let backend = transaction.get_database_backend();
    // Users before placements, and in the order of their ids, as everywhere.
    let users = Statement::from_sql_and_values(
        backend,
        "SELECT u.id FROM users u JOIN placements p ON p.user_id = u.id
         WHERE p.server_id = $1 AND p.applied_revision > 0 AND u.id > $2
         ORDER BY u.id LIMIT $3 FOR NO KEY UPDATE OF u",
        [node.clone().into(), after.into(), BATCH.into()],
    );
    let users = UserId::find_by_statement(users).all(transaction).await?;
    let ids: Vec<i64> = users.into_iter().map(|user| user.id).collect();
    let Some(last) = ids.last().copied() else {
        return Ok(None);
    };
    let run = |sql: &'static str, values: Vec<sea_orm::Value>| Statement::from_sql_and_values(backend, sql, values);
    // They are on their way from now on, and overdue only after the usual time.
    let placements = "WITH locked AS MATERIALIZED (
             SELECT id FROM placements WHERE user_id = ANY($1) AND server_id = $2 AND applied_revision > 0 ORDER BY id FOR NO KEY UPDATE)
         UPDATE placements p SET applied_revision = 0, digest = 0, published_at = now() FROM locked WHERE p.id = locked.id";
    transaction
        .execute_raw(run(placements, vec![ids.clone().into(), node.clone().into()]))
        .await?;
    let synced = "UPDATE users SET synced = false WHERE id = ANY($1) AND synced";
    transaction.execute_raw(run(synced, vec![ids.into()])).await?;
    Ok(Some(last))
}
