//! Asks nodes for a handshake before it is due: after a start of management, after drift, when a clone appeared, and when their pool or a group
//! was changed.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use futures_util::{StreamExt, stream};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, Statement,
    sea_query::{Expr, ExprTrait},
};
use tracing::{debug, warn};
use vpnmanager_entities::server;
use vpnmanager_nats::{ids::NodeId, node_requests::NodeRequest};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use crate::app::App;
use crate::ops::nodes::ask::{AskNodeError, ask_node};

/// Nodes asked in one run, so that a large fleet is not asked all at once.
const BATCH: i64 = 50;
/// Nodes asked at the same time.
const CONCURRENCY: usize = 16;
/// How long to wait for the answer of one node.
const PATIENCE: Duration = Duration::from_secs(2);

/// Marks every node to be asked: the database may be another one than the nodes know, such as a restored dump, or a group was changed.
pub async fn request_all(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        // As below.
        "WITH nodes AS MATERIALIZED (SELECT id FROM servers ORDER BY name FOR NO KEY UPDATE)
         UPDATE servers s SET prompt_since = $1 FROM nodes WHERE s.id = nodes.id",
        [Utc::now().trunc_subsecs(6).into()],
    );
    db.execute_raw(statement).await.map(drop)
}

/// Marks this node to be asked.
pub async fn request_one(db: &impl ConnectionTrait, node: &NodeId) -> Result<(), DbErr> {
    server::Entity::update_many()
        .col_expr(server::Column::PromptSince, Expr::value(Utc::now().trunc_subsecs(6)))
        .filter(server::Column::Name.eq(node.clone()))
        .exec(db)
        .await
        .map(drop)
}

/// Marks the nodes of this pool to be asked.
pub async fn request_pool(db: &impl ConnectionTrait, pool: &NodeId) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        // Locked in the order of their names, as everywhere: no deadlock.
        "WITH members AS MATERIALIZED (SELECT id FROM servers WHERE pool = $1 ORDER BY name FOR NO KEY UPDATE)
         UPDATE servers s SET prompt_since = $2 FROM members WHERE s.id = members.id",
        [pool.clone().into(), Utc::now().trunc_subsecs(6).into()],
    );
    db.execute_raw(statement).await.map(drop)
}

#[derive(Debug, FromQueryResult)]
struct Due {
    name: NodeId,
    prompt_since: DateTime<Utc>,
}

/// Asks the marked nodes, at most 50, those that were marked first. A node that is away need not be asked, because it begins with the
/// handshake when it connects. All replicas may run this at the same time.
pub async fn request_handshakes(app: &App) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT name, prompt_since FROM servers WHERE prompt_since IS NOT NULL ORDER BY prompt_since, name LIMIT $1",
        [BATCH.into()],
    );
    let due = Due::find_by_statement(statement).all(&app.db).await?;
    let asked = stream::iter(due).map(|due| ask(app, due)).buffer_unordered(CONCURRENCY);
    for due in asked.collect::<Vec<_>>().await.into_iter().flatten() {
        // A newer request stays: its time differs from the one that was read.
        server::Entity::update_many()
            .col_expr(server::Column::PromptSince, Expr::value(Option::<DateTime<Utc>>::None))
            .filter(server::Column::Name.eq(due.name))
            .filter(Expr::col(server::Column::PromptSince).eq(due.prompt_since))
            .exec(&app.db)
            .await?;
    }
    Ok(())
}

static INVALID: LogLimit = LogLimit::lines("a node's answer to the request for a handshake is invalid", 5);

/// Asks one node. `None` if the request could not be sent and must be repeated.
async fn ask(app: &App, due: Due) -> Option<Due> {
    let node = &due.name;
    match tokio::time::timeout(PATIENCE, ask_node(app, node, NodeRequest::Sync)).await {
        Ok(Ok(answer)) => debug!(node.id = %node, ?answer, "Asked a node for the handshake"),
        Ok(Err(AskNodeError::Unreachable)) | Err(_) => {
            debug!(node.id = %node, "A node that should be asked for the handshake is away")
        }
        Ok(Err(error @ AskNodeError::Answer(_))) => {
            if let Some(times) = INVALID.admit() {
                warn!(times, node.id = %node, error = %chain(&error), "A node's answer to the request for a handshake is invalid");
            }
        }
        Ok(Err(error @ AskNodeError::Request(_))) => {
            warn!(node.id = %node, error = %chain(&error), "Asking a node for the handshake failed, trying again");
            return None;
        }
    }
    Some(due)
}
