//! Taking a node out of the fleet: its bus key is revoked, its users are homed elsewhere, nothing waits for it any more.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, QuerySelect,
    Statement, TransactionTrait,
};
use tracing::warn;
use vpnmanager_entities::{credential, server};
use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    topology::TopologyError,
    username::Username,
};

use super::{
    audit::{self, Entry},
    register_node::{revoke, snapshot},
    retry::{self, FromDatabase},
};
use crate::{app::App, bus_access::EnforceError, domain::actor::Actor};

/// Credentials in one INSERT: far below the 65,535 values that PostgreSQL takes.
const CHUNK: usize = 5_000;

/// Why a node was not taken out. After [`Self::Revoke`] and [`Self::Topology`] the database holds it, and a background task repeats the rest.
#[derive(Debug, thiserror::Error)]
pub enum DeregisterNodeError {
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// The bus server does not know of the revocation yet.
    #[error("revoking the node's bus key failed")]
    Revoke(#[source] EnforceError),
    /// The node's commands are still in the stream; without its key it cannot read them.
    #[error("removing the node's commands failed")]
    Topology(#[source] TopologyError),
    /// The database did not do it.
    #[error("recording the end of the node failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for DeregisterNodeError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl FromDatabase for DeregisterNodeError {
    fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::UnknownServer | Self::Revoke(_) | Self::Topology(_) => None,
        }
    }
}

/// Takes a node out of the fleet for good.
///
/// # Errors
/// See [`DeregisterNodeError`].
pub async fn deregister_node(app: &App, actor: &Actor, node: &NodeId) -> Result<(), DeregisterNodeError> {
    retry::on_conflict(|| async {
        let transaction = app.db.begin().await?;
        record(&transaction, actor, node).await?;
        transaction.commit().await?;
        Ok::<_, DeregisterNodeError>(())
    })
    .await?;
    app.publisher.wake();
    app.placer.wake();
    app.bus_access
        .enforce(&app.db)
        .await
        .map_err(DeregisterNodeError::Revoke)?;
    app.topology
        .remove_node(node)
        .await
        .map_err(DeregisterNodeError::Topology)
}

async fn record(transaction: &DatabaseTransaction, actor: &Actor, node: &NodeId) -> Result<(), DeregisterNodeError> {
    let found = server::Entity::find_by_name(node.as_str())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let server = found.ok_or(DeregisterNodeError::UnknownServer)?;
    revoke(transaction, &server.bus_public_key, &server.name).await?;

    let moved = leave_users(transaction, node).await?;
    issue_anew(transaction, &moved).await?;
    server::Entity::delete_by_id(server.id).exec(transaction).await?;
    let entry = Entry {
        actor,
        action: "node_deregistered",
        username: None,
        server_id: server.name.clone(),
        details: Some(format!("{} users were homed on it", moved.len())),
        before: Some(snapshot(&server)),
        after: None,
    };
    audit::record(transaction, entry).await?;
    Ok(())
}

/// A user that lost its home, with its new one.
#[derive(FromQueryResult)]
struct Moved {
    id: i64,
    username: String,
    server_id: String,
}

/// Ends the node's placements. The longest-standing standby becomes the home of each user that was homed here.
async fn leave_users(transaction: &DatabaseTransaction, node: &NodeId) -> Result<Vec<Moved>, DbErr> {
    let backend = transaction.get_database_backend();
    let run = |sql: &'static str| Statement::from_sql_and_values(backend, sql, [node.as_str().into()]);
    // Users before placements and in the order of their ids, as every change does it: no deadlock.
    let lock =
        "SELECT id FROM users WHERE id IN (SELECT user_id FROM placements WHERE server_id = $1) ORDER BY id FOR UPDATE";
    transaction.execute_raw(run(lock)).await?;
    let end = "WITH ended AS (DELETE FROM placements WHERE server_id = $1 RETURNING user_id)
         UPDATE users SET revision = revision + 1, synced = false
         WHERE removed_at IS NULL AND id IN (SELECT user_id FROM ended)";
    transaction.execute_raw(run(end)).await?;
    let gone = "DELETE FROM users u WHERE removed_at IS NOT NULL
         AND $1 <> '' AND NOT EXISTS (
             SELECT FROM placements p WHERE p.user_id = u.id AND p.applied_revision < p.wanted_revision)";
    transaction.execute_raw(run(gone)).await?;
    let rehome = "WITH heirs AS (
             SELECT DISTINCT ON (p.user_id) p.id, p.user_id, p.server_id FROM placements p
             JOIN users u ON u.id = p.user_id
             WHERE u.server_id = $1 AND u.removed_at IS NULL AND p.wanted_present ORDER BY p.user_id, p.id),
         homes AS (UPDATE placements p SET role = 'home' FROM heirs WHERE p.id = heirs.id)
         UPDATE users u SET server_id = heirs.server_id, checksum = NULL, ovpn_path = NULL,
             port = s.public_port, protocol = s.public_protocol
         FROM heirs JOIN servers s ON s.name = heirs.server_id
         WHERE u.id = heirs.user_id RETURNING u.id, u.username, u.server_id";
    let moved = Moved::find_by_statement(run(rehome)).all(transaction).await?;
    let want = "UPDATE placements p SET wanted_revision = u.revision, lease_until = 'epoch', attempts = 0
         FROM users u WHERE u.id = p.user_id AND p.wanted_revision < u.revision AND $1 <> ''";
    transaction.execute_raw(run(want)).await?;
    Ok(moved)
}

/// The key of a profile lies only on the node that is gone: the new home makes another. The old profile stays valid.
async fn issue_anew(transaction: &DatabaseTransaction, moved: &[Moved]) -> Result<(), DbErr> {
    let rows: Vec<credential::ActiveModel> = moved
        .iter()
        .filter_map(|user| match user.username.parse::<Username>() {
            Ok(username) => Some(credential::ActiveModel {
                user_id: Set(Some(user.id)),
                common_name: Set(CommonName::for_user(&username).to_string()),
                server_id: Set(user.server_id.clone()),
                ..Default::default()
            }),
            Err(error) => {
                warn!(user.id = user.id, error = %error, "A username in the database is not valid");
                None
            }
        })
        .collect();
    for chunk in rows.chunks(CHUNK) {
        credential::Entity::insert_many(chunk.to_vec())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}
