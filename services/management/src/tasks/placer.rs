//! Places users that stand on fewer nodes than they could.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    ops::placement::fill::{Goal, place_users},
};

pub(super) struct Placer {
    app: App,
}

impl Placer {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Reconciler for Placer {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let settings = &self.app.settings;
        let goal = Goal {
            replicas: settings.placement.replicas,
            rehome_after: settings.rehome_after,
        };
        let placed = place_users(&self.app.db, goal).await?;
        if placed.users > 0 {
            self.app.publisher.wake();
        }
        Ok(if placed.more { Next::Again } else { Next::Idle })
    }
}
