//! Watches whether the pool gives connections, and finds out why not, outside the pool: requests fail only seconds later, and then the
//! cause is known. Leaves connections to a server that takes no changes any more.

use std::time::Duration;

use tracing::{error, info, warn};
use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    reach::Finding,
    renewal::{is_read_only, renew},
};

/// Shorter than the pool's own, so that the cause is known before requests fail.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct DatabaseWatch {
    app: App,
    /// The cause that was told last, until PostgreSQL answers again.
    told: Option<String>,
    /// Whether it was told that connections take no changes.
    told_read_only: bool,
}

impl DatabaseWatch {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            told: None,
            told_read_only: false,
        }
    }

    /// Leaves connections that take no changes. Whether the pool gives connections.
    async fn gives_connections(&mut self) -> bool {
        let (db, leases) = (&self.app.db, &self.app.leases);
        let (answer, of_leases) = tokio::join!(
            tokio::time::timeout(PATIENCE, is_read_only(db)),
            tokio::time::timeout(PATIENCE, is_read_only(leases)),
        );
        let read_only = [&answer, &of_leases].map(|answer| matches!(answer, Ok(Ok(true))));
        if read_only.contains(&true) {
            renew(db);
            renew(leases);
        }
        let is_read_only = read_only.contains(&true);
        if is_read_only && !self.told_read_only {
            warn!(
                database.at = self.app.reach.place(),
                "The database takes no changes on a connection, as after a failover: connecting anew"
            );
        }
        self.told_read_only = is_read_only;
        matches!(answer, Ok(Ok(_)))
    }
}

impl Reconciler for DatabaseWatch {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let found = if self.gives_connections().await {
            Finding::Takes
        } else {
            self.app.reach.look().await
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
