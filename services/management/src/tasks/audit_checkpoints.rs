//! Signs what the audit trail is.

use std::time::Duration;

use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    ops::audit_chain::sign_checkpoint::{Signed, sign_checkpoint},
};

/// Between two checkpoints: what is removed before the next one is not noticed.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

pub(super) struct AuditCheckpoints {
    app: App,
    signed: Option<Signed>,
}

impl AuditCheckpoints {
    pub(super) fn new(app: App) -> Self {
        Self { app, signed: None }
    }
}

impl Reconciler for AuditCheckpoints {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        sign_checkpoint(&self.app, &mut self.signed).await?;
        Ok(Next::Idle)
    }
}
