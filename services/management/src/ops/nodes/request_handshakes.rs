//! Asking nodes for the handshake before its time, where it may find something: at a start of management, after drift, of a clone.

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
use vpnmanager_runtime::error_chain::chain;

use crate::app::App;
use crate::ops::nodes::ask::{AskNodeError, ask_node};

/// Nodes asked in one run: a fleet is not asked in one instant.
const BATCH: i64 = 50;
/// Nodes asked at once.
const CONCURRENCY: usize = 16;
/// A node that does not answer holds up the others no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Notes that every node should be asked: management may hold another database than the one that they knew.
pub async fn request_all(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    server::Entity::update_many()
        .col_expr(server::Column::PromptSince, Expr::value(Utc::now().trunc_subsecs(6)))
        .exec(db)
        .await
        .map(drop)
}

/// Notes that this node should be asked.
pub async fn request_one(db: &impl ConnectionTrait, node: &NodeId) -> Result<(), DbErr> {
    server::Entity::update_many()
        .col_expr(server::Column::PromptSince, Expr::value(Utc::now().trunc_subsecs(6)))
        .filter(server::Column::Name.eq(node.clone()))
        .exec(db)
        .await
        .map(drop)
}

#[derive(Debug, FromQueryResult)]
struct Due {
    name: NodeId,
    prompt_since: DateTime<Utc>,
}

/// Asks those that wait longest, 50 at most. One that is away need not be asked: it begins with the handshake when it connects.
/// Repeating it changes nothing, in any replica.
pub async fn request_handshakes(app: &App) -> Result<(), DbErr> {
    let statement = Statement::from_sql_and_values(
        app.db.get_database_backend(),
        "SELECT name, prompt_since FROM servers WHERE prompt_since IS NOT NULL ORDER BY prompt_since, name LIMIT $1",
        [BATCH.into()],
    );
    let due = Due::find_by_statement(statement).all(&app.db).await?;
    let asked = stream::iter(due).map(|due| ask(app, due)).buffer_unordered(CONCURRENCY);
    for due in asked.collect::<Vec<_>>().await.into_iter().flatten() {
        // Whoever wants it anew meanwhile is not forgotten.
        server::Entity::update_many()
            .col_expr(server::Column::PromptSince, Expr::value(Option::<DateTime<Utc>>::None))
            .filter(server::Column::Name.eq(due.name))
            .filter(Expr::col(server::Column::PromptSince).eq(due.prompt_since))
            .exec(&app.db)
            .await?;
    }
    Ok(())
}

/// `None` when it could not be asked and should be again.
async fn ask(app: &App, due: Due) -> Option<Due> {
    let node = &due.name;
    match tokio::time::timeout(PATIENCE, ask_node(app, node, NodeRequest::Sync)).await {
        Ok(Ok(answer)) => debug!(node.id = %node, ?answer, "A node was asked for the handshake"),
        Ok(Err(AskNodeError::Unreachable)) | Err(_) => debug!(node.id = %node, "A node that should sync is away"),
        Ok(Err(error @ AskNodeError::Answer(_))) => {
            warn!(node.id = %node, error = %chain(&error), "A node could not be asked for the handshake");
        }
        Ok(Err(error @ AskNodeError::Request(_))) => {
            warn!(node.id = %node, error = %chain(&error), "A node could not be asked for the handshake, trying again");
            return None;
        }
    }
    Some(due)
}
