//! Expiry: enforced by the node's own clock, whether or not management can be reached.

use std::time::Duration;

use chrono::Utc;
use vpnmanager_runtime::reconcile::{Next, Reconciler, Schedule};

use crate::apply::{Applier, ApplyError};

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
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(2),
        }
    }
}

impl Reconciler for Expiry {
    type Error = Chain<ApplyError>;

    async fn reconcile(&mut self) -> Result<Next, Self::Error> {
        let Some(next) = self.applier.expire().await.map_err(Chain)? else {
            return Ok(Next::Idle);
        };
        match (next - Utc::now()).to_std() {
            // A little late rather than a moment early: the clock of the journal counts whole microseconds.
            Ok(left) => Ok(Next::After(left + Duration::from_millis(1))),
            Err(_past) => Ok(Next::Again),
        }
    }
}

/// An error shown with its sources, for a driver that only prints.
#[derive(Debug)]
pub struct Chain<E>(pub E);

impl<E: std::error::Error> std::fmt::Display for Chain<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}
