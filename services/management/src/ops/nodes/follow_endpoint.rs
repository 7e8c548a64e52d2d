//! Records where clients reach a node when its agent was configured anew. Profiles that are fetched from then on name it.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    QuerySelect, Statement, sea_query::LockType,
};
use tracing::info;
use vpnmanager_entities::server;
use vpnmanager_nats::{commands::Protocol, endpoint::Endpoint, ids::NodeId};
use vpnmanager_runtime::log_limit::LogLimit;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, endpoint::follow},
    ops::{
        audit::{Entry, node_snapshot},
        audit_room::{self, Caused},
        busy::Busy,
        nodes::{host::warn_of_local_host, request_handshakes::request_one},
        transact::transact,
    },
};

static CHANGES: LogLimit = LogLimit::lines("the agent of a node was configured anew", 10);

/// A node may change the port or the transport of its first listener once in this time: each time all its users follow.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
/// Users that follow in one transaction.
const BATCH: u64 = 500;

/// Records what differs from `server`, the node as it was just read. Costs nothing while nothing differs. The users follow first, some at a
/// time, because whoever ends the access of one of them must not wait for all; after an interruption the next handshake goes on.
pub async fn follow_endpoint(app: &App, server: &server::Model, told: &Endpoint) -> Result<(), DbErr> {
    let Some(after) = follow(server, told) else {
        return Ok(());
    };
    let (port, protocol) = (after.public_port, after.public_protocol);
    let moves_users = (port, protocol) != (server.public_port, server.public_protocol);
    let is_lately = |at: DateTime<Utc>| Utc::now() - at < PAUSE;
    if moves_users && server.endpoint_changed_at.is_some_and(is_lately) {
        // It says so again when it is asked.
        return request_one(&app.db, &server.name).await;
    }
    let mut are_left = moves_users;
    while are_left {
        let followed = transact(&app.db, |tx| async move {
            follow_users(&tx, &server.name, port, protocol, Some(BATCH)).await
        });
        are_left = followed.await? > 0;
    }
    transact(&app.db, |tx| async move { record(&tx, server.id, told).await }).await
}

async fn record(transaction: &DatabaseTransaction, id: i64, told: &Endpoint) -> Result<(), DbErr> {
    let found = server::Entity::find_by_id(id)
        .lock(LockType::NoKeyUpdate)
        .one(transaction)
        .await?;
    let Some(before) = found else { return Ok(()) };
    let Some(after) = follow(&before, told) else {
        return Ok(());
    };
    let mut row = before.clone().into_active_model();
    row.public_host = Set(after.public_host);
    row.public_port = Set(after.public_port);
    row.public_protocol = Set(after.public_protocol);
    row.listeners = Set(after.listeners);
    row.capacity = Set(after.capacity);
    row.asked_pool = Set(after.asked_pool);
    let moves_users = (before.public_port, before.public_protocol) != (after.public_port, after.public_protocol);
    if moves_users {
        row.endpoint_changed_at = Set(Some(Utc::now()));
    }
    let after = row.update(transaction).await?;
    if moves_users {
        let (port, protocol) = (after.public_port, after.public_protocol);
        follow_users(transaction, &after.name, port, protocol, None).await?;
    }
    if let Some(times) = CHANGES.admit() {
        info!(
            times,
            node.id = %after.name,
            host = %after.public_host,
            listeners = %after.listeners,
            capacity = after.capacity,
            asked_pool = after.asked_pool,
            "The agent of a node was configured anew"
        );
    }
    if before.public_host != after.public_host {
        warn_of_local_host(&after.name, &after.public_host);
    }
    let entry = Entry::new(&Actor::node(&after.name), AuditAction::NodeEndpointChanged, &after.name)
        .before(node_snapshot(&before))
        .after(node_snapshot(&after));
    // How often it changes is in the hand of the node.
    let caused = Caused {
        by: after.name.clone(),
        action: AuditAction::NodeEndpointChanged,
        entry,
    };
    audit_room::record_caused(transaction, [caused]).await
}

/// The rows of users name the port and the transport of the first listener of their home. Gives how many were changed: at most `limit`, and then none that another
/// transaction is changing.
async fn follow_users(
    transaction: &DatabaseTransaction,
    home: &NodeId,
    port: i32,
    protocol: Protocol,
    limit: Option<u64>,
) -> Result<u64, DbErr> {
    let some = limit.map_or_else(String::new, |limit| format!("LIMIT {limit}"));
    let busy = match limit {
        Some(_) => Busy::LeaveOut,
        None => Busy::Await,
    };
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        // Locked in the order of their ids, as everywhere: no deadlock.
        format!(
            "WITH homed AS MATERIALIZED (
                 SELECT id FROM users WHERE server_id = $1 AND (port, protocol) IS DISTINCT FROM ($2, $3)
                 ORDER BY id {some} FOR NO KEY UPDATE {})
             UPDATE users u SET port = $2, protocol = $3 FROM homed WHERE u.id = homed.id",
            busy.sql()
        ),
        [home.clone().into(), port.into(), protocol.into()],
    );
    Ok(transaction.execute_raw(statement).await?.rows_affected())
}
