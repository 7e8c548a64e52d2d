//! Reconcilers whose log says why the database is away, where their own errors hide it.

use vpnmanager_runtime::{
    reconcile::{Next, Reconciler, Schedule, Wake},
    tasks::Tasks,
};

use crate::reach::Reach;

/// Starts reconcilers that use the database.
pub(super) struct Background<'a> {
    pub(super) tasks: &'a Tasks,
    pub(super) reach: &'a Reach,
}

impl Background<'_> {
    /// As [`Tasks::reconcile`].
    pub(super) fn reconcile(
        &self,
        name: &'static str,
        wake: &Wake,
        schedule: impl Into<Schedule>,
        reconciler: impl Reconciler + 'static,
    ) {
        let reach = self.reach.clone();
        self.tasks
            .reconcile(name, wake, schedule, Explained { reconciler, reach });
    }
}

struct Explained<R> {
    reconciler: R,
    reach: Reach,
}

impl<R: Reconciler> Reconciler for Explained<R> {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        match self.reconciler.reconcile().await {
            Ok(next) => Ok(next),
            Err(error) => Err(self.reach.with_cause(error).await),
        }
    }
}
