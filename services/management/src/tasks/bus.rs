//! Keeps the bus in order, at every reconnect and every minute: revocations, streams and consumers.

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vpnmanager_nats::topology::Topology;
use vpnmanager_runtime::reconcile::{Next, Wake};

use crate::{
    app::App,
    ops::{nodes::note_excess::next_release, publications::recognise_stream::recognise_stream},
};

/// The server compares whole seconds.
const CLOCK_TICK: Duration = Duration::from_secs(1);

/// Publishes the revocations, makes missing streams and consumers, and recognises a store that was replaced.
pub(super) async fn keep(app: App) -> anyhow::Result<Next> {
    app.bus_access
        .enforce(&app.db)
        .await
        .context("publishing the revocations failed")?;
    // The server may have come back with an empty store.
    Topology::ensure(&app.bus.client, app.topology.options().clone()).await?;
    let store = app.topology.commands_store().await?;
    recognise_stream(&app, store)
        .await
        .context("recognising the stream failed")?;
    app.publisher.wake();
    let ends = next_release(&app.db)
        .await
        .context("reading the nodes that are cut off failed")?;
    Ok(ends.map_or(Next::Idle, |at| {
        Next::After((at - Utc::now()).to_std().unwrap_or_default() + CLOCK_TICK)
    }))
}

/// Wakes the reconciler at every reconnect.
pub(super) async fn follow_connections(
    mut connections: watch::Receiver<u64>,
    reconnected: Wake,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            changed = connections.changed() => {
                changed.context("the bus connection is gone")?;
                reconnected.wake();
            }
            () = stop.cancelled() => return Ok(()),
        }
    }
}
