//! Calls silent nodes stale and lost.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{app::App, ops::nodes::assess_ages::assess_ages};

pub(super) struct Ages {
    app: App,
}

impl Ages {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Reconciler for Ages {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        assess_ages(&self.app.db, self.app.settings.thresholds).await?;
        Ok(Next::Idle)
    }
}
