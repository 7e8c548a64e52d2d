//! New credentials for all users of a node, because its disk was lost with the keys, or somebody else has it. What is to be done is recorded in
//! the transaction of the request, a row for each user, and carried out some users at a time: a crash ends nothing, no transaction is long, and
//! what is urgent goes first.

pub mod start;

pub mod go_on;
pub mod read;
pub mod stop;

mod apart;
mod turn;

use chrono::{DateTime, SubsecRound as _, Utc};
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};
use serde_json::{Value, json};
use vpnmanager_entities::{node_reissue, server};
use vpnmanager_nats::ids::NodeId;

/// Why nothing is known of new credentials for the users of a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeReissueError {
    /// There is no such node.
    #[error("there is no such server")]
    UnknownServer,
    /// There is the node, and nobody asked for it.
    #[error("nobody asked for new credentials of all users of the server")]
    NotAsked,
    /// The database failed.
    #[error("reading or recording it failed")]
    Database(#[from] DbErr),
}

/// Why there is no row of this node.
async fn why_none(db: &impl ConnectionTrait, node: &NodeId) -> NodeReissueError {
    match server::Entity::find_by_name(node.clone()).one(db).await {
        Ok(Some(_)) => NodeReissueError::NotAsked,
        Ok(None) => NodeReissueError::UnknownServer,
        Err(error) => error.into(),
    }
}

/// Whether something waits, as a query says it.
#[derive(FromQueryResult)]
struct Waiting {
    waits: bool,
}

/// How far it is, for the audit trail.
fn snapshot(job: &node_reissue::Model) -> Value {
    json!({
        "total": job.total,
        "done": job.done,
        "unchanged": job.unchanged,
        "failed": job.failed,
    })
}

/// The time, as PostgreSQL keeps it: in microseconds.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Forgets who still has to come.
async fn forget_users(db: &impl ConnectionTrait, node: &NodeId) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "DELETE FROM node_reissue_users WHERE server_id = $1",
        [node.clone().into()],
    );
    db.execute_raw(statement).await.map(drop)
}
