//! Hands events to webhooks and sends them, for each webhook in a job of its own: a receiver that does not answer holds up no other.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tracing::warn;
use vpnmanager_runtime::{
    contain::contain,
    error_chain::chain,
    log_limit::LogLimit,
    reconcile::{Next, Reconciler},
    tasks::Tasks,
};

use crate::{
    app::App,
    ops::webhooks::{
        courier::Courier,
        deliver::{Lessee, deliver, give_back, lease},
        hand_over::hand_over,
    },
};

/// Webhooks that this replica sends for at the same time.
const CONCURRENT: usize = 16;

static NOT_SENT: LogLimit = LogLimit::lines("the messages of a webhook were not sent", 5);

pub(super) struct Webhooks {
    app: App,
    tasks: Tasks,
    lessee: Lessee,
    places: Arc<Semaphore>,
    /// Made when there is something to send.
    courier: Option<Courier>,
}

impl Webhooks {
    pub(super) fn new(app: App, tasks: &Tasks) -> Self {
        Self {
            app,
            tasks: tasks.clone(),
            lessee: Lessee::new(),
            places: Arc::new(Semaphore::new(CONCURRENT)),
            courier: None,
        }
    }

    fn courier(&mut self) -> anyhow::Result<Courier> {
        if let Some(courier) = &self.courier {
            return Ok(courier.clone());
        }
        let made = Courier::new(&self.app.config.webhooks)?;
        self.courier = Some(made.clone());
        Ok(made)
    }

    fn begin(&self, courier: Courier, webhook: i64) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return;
        };
        let (app, lessee, stop) = (self.app.clone(), self.lessee.clone(), self.tasks.token());
        self.tasks.spawn_job("webhook", async move {
            let sent = contain("sending to a webhook", async {
                let sent = tokio::select! {
                    sent = deliver(&app, &courier, webhook, &stop) => sent,
                    // What is under way is sent again by another replica, or at the next start.
                    () = stop.cancelled() => Ok(()),
                };
                let given_back = give_back(&app, &lessee, Some(webhook)).await;
                sent.and(given_back)
            });
            let sent = sent.await;
            drop(place);
            match sent {
                // There may be more.
                Ok(Ok(())) => app.webhooks.wake(),
                Ok(Err(error)) => note(webhook, &chain(&error).to_string()),
                Err(panicked) => note(webhook, &chain(&panicked).to_string()),
            }
            Ok(())
        });
    }
}

fn note(webhook: i64, error: &str) {
    if let Some(times) = NOT_SENT.admit() {
        warn!(
            webhook.id = webhook,
            error, times, "The messages of a webhook were not sent, trying again"
        );
    }
}

impl Reconciler for Webhooks {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let more = hand_over(&self.app).await?;
        let room = self.places.available_permits();
        if room > 0 {
            let leased = lease(&self.app, &self.lessee, room).await?;
            if !leased.is_empty() {
                let courier = self.courier();
                if courier.is_err() {
                    give_back(&self.app, &self.lessee, None).await?;
                }
                let courier = courier?;
                for webhook in leased {
                    self.begin(courier.clone(), webhook);
                }
            }
        }
        Ok(if more { Next::Again } else { Next::Idle })
    }
}
