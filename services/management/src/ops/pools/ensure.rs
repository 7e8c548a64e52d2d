//! Makes the row of a pool that a node is in.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use vpnmanager_entities::pool;
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry, pool_snapshot},
        columns::columns_of,
        in_turn::transact_on_fleet,
        nodes::one_at_a_time::one_at_a_time,
    },
};

/// Makes the pool if there is none of that name; then the audit trail says who caused it by putting `node` into it. The caller holds what
/// keeps changes of nodes apart.
pub async fn ensure_pool(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: &NodeId,
    name: &NodeId,
) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "INSERT INTO pools (name) VALUES ($1) ON CONFLICT (name) DO NOTHING RETURNING {}",
            columns_of::<pool::Entity>("pools")
        ),
        [name.clone().into()],
    );
    make(transaction, statement, actor, node.as_str()).await
}

/// Makes the pools that nodes are in and that have no row: a replica of an older release put them there, and may run beside this one.
pub async fn ensure_pools(app: &App) -> Result<(), DbErr> {
    transact_on_fleet(app, |tx| async move { ensure_within(&tx, &app.config.server_id).await }).await
}

async fn ensure_within(transaction: &DatabaseTransaction, recorder: &str) -> Result<(), DbErr> {
    one_at_a_time(transaction).await?;
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "INSERT INTO pools (name)
             SELECT name FROM (SELECT pool::text AS name FROM servers UNION SELECT leaving_for::text FROM servers) AS used
             WHERE name COLLATE \"C\" ~ $1
             ON CONFLICT (name) DO NOTHING RETURNING {}",
            columns_of::<pool::Entity>("pools")
        ),
        [NodeId::PATTERN.into()],
    );
    make(transaction, statement, &Actor::system(), recorder).await
}

/// Inserts pools, and records each that was made.
async fn make(
    transaction: &DatabaseTransaction,
    insert: Statement,
    actor: &Actor,
    recorder: &str,
) -> Result<(), DbErr> {
    let made = pool::Model::find_by_statement(insert).all(transaction).await?;
    let entries = made
        .iter()
        .map(|pool| Entry::new(actor, AuditAction::PoolCreated, recorder).after(pool_snapshot(pool)));
    audit::record_all(transaction, entries).await
}
