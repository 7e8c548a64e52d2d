//! Expiry: enforced by the node's own clock, whether or not management can be reached.

use std::time::Duration;

use chrono::Utc;
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Reconciler, Schedule},
};

use crate::apply::Applier;

/// The longest sleep: a clock that was set is noticed after this at the latest.
const PERIOD: Duration = Duration::from_secs(15);

/// Refuses and cuts whose time is over.
#[derive(Debug)]
pub struct Expiry {
    applier: Applier,
}

impl Expiry {
    /// Over this applier.
    pub fn new(applier: Applier) -> Self {
        Self { applier }
    }

    /// When it runs unless woken.
    pub fn schedule() -> Schedule {
        Schedule {
            period: PERIOD,
            backoff: Backoff::new(Duration::from_millis(200), Duration::from_secs(2)),
        }
    }
}

impl Reconciler for Expiry {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let Some(next) = self.applier.expire().await? else {
            return Ok(Next::Idle);
        };
        match (next - Utc::now()).to_std() {
            // A little late rather than a moment early: the clock of the journal counts whole microseconds.
            Ok(left) => Ok(Next::After(left + Duration::from_millis(1))),
            Err(_past) => Ok(Next::Again),
        }
    }
}
