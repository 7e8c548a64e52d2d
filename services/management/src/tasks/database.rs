//! Watches whether the pool gives connections, and finds out why not, outside the pool: requests fail only seconds later, and then the
//! cause is known.

use std::time::Duration;

use tracing::{error, info};
use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{app::App, reach::Finding};

/// Shorter than the pool's own, so that the cause is known before requests fail.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct DatabaseWatch {
    app: App,
    /// The cause that was told last, until PostgreSQL answers again.
    told: Option<String>,
}

impl DatabaseWatch {
    pub(super) fn new(app: App) -> Self {
        Self { app, told: None }
    }
}

impl Reconciler for DatabaseWatch {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let answer = tokio::time::timeout(PATIENCE, self.app.db.ping()).await;
        let found = match answer {
            Ok(Ok(())) => Finding::Takes,
            Ok(Err(_)) | Err(_) => self.app.reach.look().await,
        };
        let cause = match found {
            Finding::Takes => None,
            Finding::Refuses(cause) => Some(cause),
        };
        let at = self.app.reach.place();
        match &cause {
            Some(cause) if self.told.as_ref() != Some(cause) => {
                error!(
                    database.at = at,
                    cause, "The database does not take connections: nothing changes until it does"
                );
            }
            None if self.told.is_some() => info!(database.at = at, "The database takes connections again"),
            Some(_) | None => {}
        }
        self.told = cause;
        Ok(Next::Idle)
    }
}
