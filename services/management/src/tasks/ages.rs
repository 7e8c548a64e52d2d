//! Calls silent nodes stale and lost.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{app::App, ops::assess_ages::assess_ages};

pub(super) struct Ages {
    app: App,
}

impl Ages {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

impl Reconciler for Ages {
    type Error = sea_orm::DbErr;

    async fn reconcile(&mut self) -> Result<Next, sea_orm::DbErr> {
        assess_ages(&self.app.db, self.app.settings.thresholds).await?;
        Ok(Next::Idle)
    }
}
