//! Finds out whether the bus stores commands, by storing something.

use anyhow::Context;
use async_nats::connection::State;
use tracing::{error, info};
use vpnmanager_nats::{storage, store_limit};
use vpnmanager_runtime::{
    error_chain::chain,
    reconcile::{Next, Reconciler},
};

use crate::{
    app::App,
    ops::publications::record,
    storage::{LIMIT_REACHED, bus_stores_nothing},
};

pub(super) struct StorageProbe {
    app: App,
    is_first: bool,
}

impl StorageProbe {
    pub(super) fn new(app: App) -> Self {
        Self { app, is_first: true }
    }
}

impl Reconciler for StorageProbe {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        // A replica that starts has enough to publish, and is told when that fails.
        if std::mem::take(&mut self.is_first) {
            return Ok(Next::Idle);
        }
        look(&self.app).await
    }
}

async fn look(app: &App) -> anyhow::Result<Next> {
    // Without a connection there is nobody to ask, and that is told elsewhere.
    if app.bus.client.connection_state() != State::Connected {
        return Ok(Next::Idle);
    }
    match storage::prove(&app.topology, &app.config.server_id).await {
        Ok(()) => {
            if app.storage.fault().is_some() {
                record::retry_now(&app.leases)
                    .await
                    .context("making unpublished commands due failed")?;
                app.publisher.wake();
                app.storage.note(None);
                info!("The bus stores commands again");
            }
        }
        Err(failed) => {
            let cause = if store_limit::refused(&failed) {
                LIMIT_REACHED.to_owned()
            } else {
                cause(app).await.unwrap_or_else(|| chain(&failed).to_string())
            };
            let message = bus_stores_nothing(&cause);
            if app.storage.note(Some(cause)).is_none() {
                error!("{message}");
            }
        }
    }
    Ok(Next::Idle)
}

/// What the server itself says is wrong.
async fn cause(app: &App) -> Option<String> {
    let system = app.bus_access.connect_as_system().await.ok()?;
    storage::fault(&system.client).await
}
