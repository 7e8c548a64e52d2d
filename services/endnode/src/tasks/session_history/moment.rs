//! When a look is made.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// A moment by both clocks of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What is told of it. This clock may be set, forward and back.
    pub time: DateTime<Utc>,
    /// Measures how long it is from one moment to another, however the other clock is set.
    pub instant: Instant,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self {
            time: Utc::now(),
            instant: Instant::now(),
        }
    }
}
