//! `POST /api/imports`.

use std::sync::Arc;

use tokio::sync::Mutex;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use super::body::SourceBody;
use super::schema::Report;
use crate::api::failure;
use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::import::policies::Policies;
use crate::ops::import::import_source::import_source as import;
use crate::ops::import::order::{Order, Progress};
use crate::ops::import::record::MOST_KEPT;
use crate::ops::import::source::read_sent;

/// What is asked for, beside the source.
pub(super) struct Upload {
    pub(super) node: NodeId,
    pub(super) source: String,
    pub(super) is_trial: bool,
    pub(super) policies: Policies,
}

pub(super) async fn import_source(
    app: &App,
    turn: &Arc<Mutex<()>>,
    actor: &Actor,
    upload: Upload,
    body: SourceBody,
) -> Result<Report, ApiError> {
    let (kind, bytes) = body.into_parts();
    let turn = Arc::clone(turn).lock_owned().await;
    // Reading goes on where the caller is gone, and so the turn is with it.
    let read = tokio::task::spawn_blocking(move || (read_sent(kind, &bytes), turn)).await;
    let (read, _turn) = read.map_err(ApiError::internal)?;
    let read = read.map_err(failure::imports::of_read_source)?;
    let order = Order {
        node: &upload.node,
        source: &upload.source,
        read: &read,
        policies: &upload.policies,
        actor,
        is_trial: upload.is_trial,
    };
    // Whoever waits for the answer hears all at once.
    let on_progress = |_: Progress| {};
    let imported = import(&app.db, &app.config.placement_rules(), &order, &on_progress).await;
    let report = imported.map_err(|error| failure::imports::of_import(app, error))?;
    app.wake_publishers();
    Ok(Report::of(report.shortened(MOST_KEPT)))
}
