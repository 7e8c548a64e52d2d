//! Keeps nodes at moving their clients away, or letting them stay.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{app::App, ops::nodes::tell_draining::tell_draining};

pub(super) struct Drains {
    app: App,
}

impl Drains {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Reconciler for Drains {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        tell_draining(&self.app).await?;
        Ok(Next::Idle)
    }
}
