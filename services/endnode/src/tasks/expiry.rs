//! Expiry: enforced by the node's own clock, whether or not management can be reached.

use std::time::Duration;

use chrono::Utc;
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Schedule},
};

use crate::apply::{Applier, ApplyError};

/// The period is the longest sleep: a changed system clock is noticed after 15 s at the latest. While expiries cannot be journaled others are
/// enforced no later than half a second after their time.
pub const SCHEDULE: Schedule = Schedule {
    period: Duration::from_secs(15),
    backoff: Backoff::new(Duration::from_millis(200), Duration::from_millis(500)),
};

/// Refuses and cuts every user who has expired.
pub async fn expire(applier: Applier) -> Result<Next, ApplyError> {
    let Some(next) = applier.expire().await? else {
        return Ok(Next::Idle);
    };
    match (next - Utc::now()).to_std() {
        // A little late rather than a moment early: the clock of the journal counts whole microseconds.
        Ok(left) => Ok(Next::After(left + Duration::from_millis(1))),
        Err(_past) => Ok(Next::Again),
    }
}
