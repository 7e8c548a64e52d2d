//! Gives users of lost nodes another home, and readmits nodes that returned.

use std::time::Duration;

use chrono::Utc;
use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    ops::{
        nodes::note_hearing::heard_since,
        placement::{readmit::readmit_nodes, rehome::rehome_users},
    },
};

/// Between two batches of users that get another home: each has its new home make a key and a profile.
const PACE: Duration = Duration::from_secs(1);

pub(super) struct Failover {
    app: App,
    /// Whether the placer was woken since homes last moved: users of a lost node also need another standby.
    placed: bool,
}

impl Failover {
    pub(super) fn new(app: App) -> Self {
        Self { app, placed: true }
    }
}

impl Reconciler for Failover {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let app = &self.app;
        if readmit_nodes(&app.db).await? > 0 {
            app.placer.wake();
        }
        // Time in which management could not hear counts for nothing: a home moves when its node was silent for the whole time while others
        // could be heard.
        let health = app.config.health;
        let heard_since = heard_since(app).await?;
        let heard_for = Utc::now() - heard_since;
        if heard_for.to_std().unwrap_or_default() < health.rehome_after.max(health.lost_after) {
            return Ok(Next::Idle);
        }
        let rehomed = rehome_users(app, health.rehome_after).await?;
        if rehomed.users > 0 {
            app.publisher.wake();
            self.placed = false;
        }
        if rehomed.more {
            return Ok(Next::After(PACE));
        }
        if !std::mem::replace(&mut self.placed, true) {
            app.placer.wake();
        }
        Ok(Next::Idle)
    }
}
