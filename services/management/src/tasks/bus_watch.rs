//! Watches whether the bus is connected, and finds out why not.

use std::time::Duration;

use async_nats::connection::State;
use tokio::time::Instant;
use tracing::{error, info};
use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::app::App;

/// Somebody is told of a connection that is lost for so long: a server that is started anew comes back sooner.
const TELL_AFTER: Duration = Duration::from_secs(3);

pub(super) struct BusWatch {
    app: App,
    lost: Option<Instant>,
    /// The cause that was told last, until the bus is connected again.
    told: Option<String>,
}

impl BusWatch {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            lost: None,
            told: None,
        }
    }
}

impl Reconciler for BusWatch {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let at = self.app.bus_reach.place();
        if self.app.bus.client.connection_state() == State::Connected {
            self.app.bus_reach.forget();
            self.lost = None;
            if self.told.take().is_some() {
                info!(bus.at = at, "The bus is connected again");
            }
            return Ok(Next::Idle);
        }
        let lost = *self.lost.get_or_insert_with(Instant::now);
        // `/health` tells it at once.
        let Some(fault) = self.app.bus_reach.look().await else {
            return Ok(Next::Idle);
        };
        if lost.elapsed() >= TELL_AFTER && self.told.as_ref() != Some(&fault.causes) {
            error!(
                bus.at = at,
                cause = fault.causes,
                advice = fault.advice,
                "The bus is not connected: no change reaches a node until it is"
            );
            self.told = Some(fault.causes);
        }
        Ok(Next::Idle)
    }
}
