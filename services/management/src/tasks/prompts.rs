//! Asks nodes for the handshake: each of them once when this replica starts, and those for which it is noted.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    ops::nodes::request_handshakes::{prompt_all, prompt_syncs},
};

pub(super) struct Prompts {
    app: App,
    started: bool,
}

impl Prompts {
    pub(super) fn new(app: App) -> Self {
        Self { app, started: false }
    }
}

impl Reconciler for Prompts {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        if !self.started {
            prompt_all(&self.app.db).await?;
            self.started = true;
        }
        prompt_syncs(&self.app).await?;
        Ok(Next::Idle)
    }
}
