//! Keeps the bus in order, at every reconnect and every minute: revocations, streams and consumers.

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vpnmanager_nats::topology::Topology;
use vpnmanager_runtime::reconcile::Wake;

use crate::{app::App, ops::publications::recognise_stream::recognise_stream};

/// Publishes the revocations, makes missing streams and consumers, and recognises a store that was replaced.
pub(super) async fn keep(app: App) -> anyhow::Result<()> {
    app.bus_access
        .enforce(&app.db)
        .await
        .context("publishing the revocations failed")?;
    // The server may have come back with an empty store.
    Topology::ensure(&app.bus.client, app.topology.options().clone()).await?;
    app.topology.ensure_event_consumer().await?;
    let store = app.topology.commands_store().await?;
    recognise_stream(&app, store)
        .await
        .context("recognising the stream failed")?;
    app.publisher.wake();
    Ok(())
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
