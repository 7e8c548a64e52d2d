//! Answering a node that says what it holds: go on, or everything again.

use chrono::Utc;
use sea_orm::{
    DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use tracing::warn;
use vpnmanager_entities::{placement, server};
use vpnmanager_nats::{
    sync::{SyncAnswer, SyncRequest},
    topology::TopologyError,
};

use super::read_nodes::{self, Progress};
use crate::app::App;

/// Why there is no answer; the node asks again.
#[derive(Debug, thiserror::Error)]
pub enum AnswerSyncError {
    /// The bus did not answer.
    #[error("reading the stream failed")]
    Topology(#[from] TopologyError),
    /// The database did not answer.
    #[error("reading the placements failed")]
    Database(#[from] DbErr),
}

/// Compares what a node holds with what it should hold, and rewinds its consumer when that differs.
///
/// # Errors
/// See [`AnswerSyncError`].
pub async fn answer_sync(app: &App, request: &SyncRequest) -> Result<SyncAnswer, AnswerSyncError> {
    let node = &request.node;
    if server::Entity::find_by_name(node.as_str())
        .one(&app.db)
        .await?
        .is_none()
    {
        return Ok(SyncAnswer::Refused {
            reason: "this node is not registered".to_owned(),
        });
    }
    app.topology.ensure_node_consumer(node).await?;
    let progress = read_nodes::progress(&app.db, node).await?;
    let upto_sequence = app.topology.newest_command(node).await?;
    server::Entity::update_many()
        .col_expr(server::Column::LastSync, Expr::value(Utc::now()))
        .filter(Expr::col(server::Column::Name).eq(node.as_str()))
        .exec(&app.db)
        .await?;

    let Some(reason) = reason_to_resync(request, &progress, upto_sequence) else {
        return Ok(SyncAnswer::Ok { upto_sequence });
    };
    warn!(node.id = %node, reason, "A node gets everything again");
    if request.last_sequence > upto_sequence && progress.wanted > 0 {
        // The stream lost what it held: publish everything before it is read again.
        placement::Entity::update_many()
            .col_expr(placement::Column::PublishedRevision, Expr::value(0))
            .col_expr(placement::Column::PublishedSequence, Expr::value(0))
            .filter(Expr::col(placement::Column::ServerId).eq(node.as_str()))
            .exec(&app.db)
            .await?;
        app.publisher.wake();
        return Ok(SyncAnswer::Ok { upto_sequence });
    }
    app.topology.rewind_node_consumer(node).await?;
    Ok(SyncAnswer::Resync {
        upto_sequence,
        reason: reason.to_owned(),
    })
}

fn reason_to_resync(request: &SyncRequest, progress: &Progress, upto_sequence: u64) -> Option<&'static str> {
    if request.last_sequence > upto_sequence && progress.wanted > 0 {
        return Some("the stream is older than what the node holds");
    }
    if request.last_sequence == 0 && progress.applied > 0 {
        return Some("the node lost what it held");
    }
    if progress.pending == 0 && request.last_sequence >= upto_sequence && request.digest != progress.digest {
        return Some("the node holds something else than it should");
    }
    None
}
