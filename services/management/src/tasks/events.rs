//! Follows the audit trail, and wakes who sends events on.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{app::App, ops::events::follow::Follower};

pub(super) struct Events {
    app: App,
    follower: Follower,
}

impl Events {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            follower: Follower::default(),
        }
    }
}

impl Reconciler for Events {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let look = self.follower.look(&self.app).await?;
        if look.found {
            self.app.webhooks.wake();
        }
        Ok(look.again_after.map_or(Next::Idle, Next::After))
    }
}
