//! Keeps the bus as it should be: revocations known to the server, and after a reconnect, what went unnoticed meanwhile.

use anyhow::Context;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vpnmanager_nats::topology::Topology;
use vpnmanager_runtime::reconcile::{Next, Reconciler, Wake};

use crate::{app::App, ops::publications::recognise_stream::recognise_stream};

pub(super) struct BusReconciler {
    app: App,
}

impl BusReconciler {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Reconciler for BusReconciler {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        self.app
            .bus_access
            .enforce(&self.app.db)
            .await
            .context("giving the bus its revocations failed")?;
        // The server may have come back with an empty store.
        Topology::ensure(&self.app.bus.client, self.app.topology.options().clone()).await?;
        self.app.topology.ensure_event_consumer().await?;
        let store = self.app.topology.commands_store().await?;
        recognise_stream(&self.app, store)
            .await
            .context("recognising the stream failed")?;
        self.app.publisher.wake();
        Ok(Next::Idle)
    }
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
