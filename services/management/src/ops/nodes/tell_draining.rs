//! Telling nodes to move their clients away, or no longer, until their heartbeats say that they do.

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

/// Nodes asked at once.
const CONCURRENCY: usize = 16;
/// A node that cannot be asked holds up the others no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks each node that was heard of lately and does something else than it should. Repeating it changes nothing, in any replica.
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

/// Silent nodes are not asked; they come up here again with their next heartbeat.
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
    match tokio::time::timeout(PATIENCE, ask_node(app, &name, request)).await {
        Ok(Ok(NodeAnswer::Done)) => info!(
            node.id = %name,
            draining, "A node was told whether to move its clients away"
        ),
        Ok(Ok(NodeAnswer::Failed { error })) => warn!(node.id = %name, error, "A node could not be told to drain"),
        Ok(Ok(answer @ (NodeAnswer::Profile { .. } | NodeAnswer::Sessions { .. } | NodeAnswer::NotFound { .. }))) => {
            warn!(node.id = %name, ?answer, "A node answered another question");
        }
        Ok(Err(AskNodeError::Unreachable)) | Err(_) => {
            debug!(
                node.id = %name,
                draining, "A node that should be told to drain cannot be reached, trying again"
            );
        }
        Ok(Err(error @ (AskNodeError::Request(_) | AskNodeError::Answer(_)))) => {
            warn!(node.id = %name, error = %chain(&error), "A node could not be told to drain");
        }
    }
}
