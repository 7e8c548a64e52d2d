//! Keeps the bus as it should be: revocations known to the server, and after a reconnect, what went unnoticed meanwhile.

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vpnmanager_nats::topology::Topology;
use vpnmanager_runtime::reconcile::Wake;

use crate::{app::App, ops::publications::recognise_stream::recognise_stream};

/// Gives the bus its revocations, streams and consumers, and recognises a store that was replaced.
pub(super) async fn keep(app: App) -> anyhow::Result<()> {
    app.bus_access
        .enforce(&app.db)
        .await
        .context("giving the bus its revocations failed")?;
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

/// Wakes the reconciler at each reconnect.
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
