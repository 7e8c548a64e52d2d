//! Tells nodes to start or to end their drain, until their heartbeats confirm it.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use sea_orm::{DbErr, FromQueryResult, Statement};
use tracing::{debug, info, warn};
use vpnmanager_nats::{
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
};
use vpnmanager_runtime::error_chain::chain;

use crate::app::App;
use crate::ops::nodes::ask::{AskNodeError, ask_node};

/// Nodes told at the same time.
const CONCURRENCY: usize = 16;
/// How long to wait for the answer of one node.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells each healthy or degraded node whose last heartbeat differs from what is wanted. All replicas may run this at the same time.
pub async fn tell_draining(app: &App) -> Result<(), DbErr> {
    let differing = differing(app).await?;
    stream::iter(differing)
        .for_each_concurrent(CONCURRENCY, |node| async move { tell(app, node).await })
        .await;
    Ok(())
}

#[derive(Debug, FromQueryResult)]
struct Differing {
    name: NodeId,
    draining: bool,
}

/// Nodes to tell. Silent nodes are left out until their next heartbeat.
async fn differing(app: &App) -> Result<Vec<Differing>, DbErr> {
    let statement = Statement::from_string(
        app.db.get_database_backend(),
        "SELECT s.name, s.draining FROM servers s JOIN health_status h ON h.server_id = s.name
         WHERE s.draining <> h.draining AND s.state IN ('healthy', 'degraded')",
    );
    Differing::find_by_statement(statement).all(&app.db).await
}

async fn tell(app: &App, node: Differing) {
    let Differing { name, draining } = node;
    let request = NodeRequest::Drain {
        draining,
        pace: app.config.drain.pace,
    };
    let answered = tokio::time::timeout(PATIENCE, ask_node(app, &name, request)).await;
    match answered.map(|answer| answer.map(NodeAnswer::into_done)) {
        Ok(Ok(Ok(()))) => info!(node.id = %name, draining, "Told a node whether to drain"),
        Ok(Ok(Err(reason))) => warn!(node.id = %name, error = %reason, "A node failed to start or end its drain"),
        Ok(Err(AskNodeError::Unreachable)) | Err(_) => {
            debug!(
                node.id = %name,
                draining, "A node that should start or end its drain is away, trying again"
            );
        }
        Ok(Err(error @ (AskNodeError::Request(_) | AskNodeError::Answer(_)))) => {
            warn!(node.id = %name, error = %chain(&error), "Telling a node whether to drain failed, trying again");
        }
    }
}
