//! One look each second at what is left to do, for all tasks: whoever has nothing to do asks PostgreSQL for nothing.

use vpnmanager_runtime::reconcile::{Next, Reconciler, Wake};

use crate::{app::App, ops::due::read_due};

/// Wakes the tasks that have something to do.
pub(super) struct DueWatch {
    app: App,
    wakes: Wakes,
}

/// Wakes of the tasks that nothing but this wakes.
#[derive(Debug, Clone, Default)]
pub(super) struct Wakes {
    pub(super) node_ages: Wake,
    pub(super) node_totals: Wake,
    pub(super) failover: Wake,
    pub(super) handshakes: Wake,
    pub(super) restored: Wake,
}

impl DueWatch {
    pub(super) fn new(app: App, wakes: Wakes) -> Self {
        Self { app, wakes }
    }
}

impl Reconciler for DueWatch {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let (app, wakes) = (&self.app, &self.wakes);
        let due = read_due(&app.leases, app.config.health).await?;
        let whose_turn_it_is = [
            (due.publications, &app.publisher),
            (due.urgent, &app.urgent),
            (due.totals, &wakes.node_totals),
            (due.handshakes, &wakes.handshakes),
            (due.silent, &wakes.node_ages),
            (due.lost, &wakes.failover),
            (due.undecided, &wakes.restored),
        ];
        for (_, wake) in whose_turn_it_is.into_iter().filter(|(is_due, _)| *is_due) {
            wake.wake();
        }
        Ok(Next::Idle)
    }
}
