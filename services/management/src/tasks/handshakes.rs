//! Asks nodes for the handshake: every node once when this replica starts, and later those that are marked in the database.

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    ops::{
        nodes::request_handshakes::{request_all, request_handshakes},
        pools::ensure::ensure_pools,
    },
};

pub(super) struct Handshakes {
    app: App,
    started: bool,
}

impl Handshakes {
    pub(super) fn new(app: App) -> Self {
        Self { app, started: false }
    }
}

impl Reconciler for Handshakes {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        if !self.started {
            ensure_pools(&self.app).await?;
            request_all(&self.app.db).await?;
            self.started = true;
        }
        request_handshakes(&self.app).await?;
        Ok(Next::Idle)
    }
}
