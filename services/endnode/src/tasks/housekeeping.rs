//! What need not be kept for ever.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tracing::info;
use vpnmanager_runtime::reconcile::{Next, Reconciler, Schedule};

use crate::journal::Journal;

const PERIOD: Duration = Duration::from_secs(60 * 60);
/// A tombstone in the stream lives 90 days; no command older than that can come.
const TOMBSTONES_KEPT: TimeDelta = TimeDelta::days(100);

/// Forgets old tombstones.
#[derive(Debug)]
pub struct Housekeeping {
    journal: Journal,
}

impl Housekeeping {
    /// Over this journal.
    pub fn new(journal: Journal) -> Self {
        Self { journal }
    }

    /// When it runs.
    pub fn schedule() -> Schedule {
        Schedule::every(PERIOD)
    }
}

impl Reconciler for Housekeeping {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let forgotten = self
            .journal
            .write(|records| records.forget_tombstones(Utc::now() - TOMBSTONES_KEPT));
        let forgotten = forgotten.await?;
        if forgotten > 0 {
            info!(users = forgotten, "Forgot users that were removed long ago");
        }
        Ok(Next::Idle)
    }
}
