//! Gives users access again who are not over their quota any more, and judges the members of a group whose quota was changed.

use std::time::Duration;

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{app::App, ops::quotas::review::Review};

/// Between two looks. A period that turns lifts within as much.
pub(super) const PERIOD: Duration = Duration::from_secs(30);

pub(super) struct QuotaReview {
    app: App,
    review: Review,
}

impl QuotaReview {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            review: Review::default(),
        }
    }
}

impl Reconciler for QuotaReview {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        self.review.run(&self.app).await?;
        Ok(Next::Idle)
    }
}
