//! Deletes old rows, closes sessions of nodes that are gone, makes the rows of pools that lack one, reminds of months of the audit trail that wait
//! for their archive, puts users into the groups that stand for their own values, and deletes such groups that nobody has.

use std::time::{Duration, Instant};

use tracing::warn;
use vpnmanager_runtime::reconcile::{Next, Reconciler};

use crate::{
    app::App,
    ops::{
        groups::remove_unused_own::remove_unused_own_groups,
        housekeeping::{Kept, delete_old_rows, unarchived},
        pools::ensure::ensure_pools,
        sessions::close_abandoned::close_abandoned,
        users::mend_own_groups::mend_own_groups,
    },
};

/// Between two reminders.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) struct Housekeeping {
    app: App,
    reminded: Option<Instant>,
}

impl Housekeeping {
    pub(super) fn new(app: App) -> Self {
        Self { app, reminded: None }
    }

    async fn remind(&mut self) -> anyhow::Result<()> {
        if self.reminded.is_some_and(|at| at.elapsed() < REMIND_EVERY) {
            return Ok(());
        }
        let waiting = unarchived(&self.app.db, self.app.config.audit.archive_after).await?;
        if let Some(oldest) = waiting.first() {
            warn!(
                partitions = waiting.len(),
                oldest,
                "Months of the audit trail are older than AUDIT_ARCHIVE_AFTER: archive them with vpnmanager-management audit-archive"
            );
            self.reminded = Some(Instant::now());
        }
        Ok(())
    }
}

impl Reconciler for Housekeeping {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let more = delete_old_rows(&self.app.db, Kept::of(&self.app.config)).await?;
        if more {
            return Ok(Next::Again);
        }
        close_abandoned(&self.app.db).await?;
        ensure_pools(&self.app).await?;
        self.remind().await?;
        // Last: where there are too many groups, this fails until an operator has done something.
        let mended = mend_own_groups(&self.app).await;
        remove_unused_own_groups(&self.app).await?;
        Ok(if mended? { Next::Again } else { Next::Idle })
    }
}
