//! Whether time passed that this process did not notice.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// Whoever looks each second and finds that more has passed did not run meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A clock that is being corrected differs by less.
const LARGEST_DRIFT: TimeDelta = TimeDelta::seconds(2);

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// By the clock that nobody sets; it may stand still while the machine sleeps.
    pub steady: Instant,
    /// By the clock on the wall, which may be set.
    pub wall: DateTime<Utc>,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            steady: Instant::now(),
            wall: Utc::now(),
        }
    }
}

/// Whether a process that looks at the clocks each second ran between the two moments, and no clock was set meanwhile: it was not stopped,
/// and its machine did not sleep.
#[must_use]
pub fn is_continuous(before: Moment, after: Moment) -> bool {
    let passed = after.steady.saturating_duration_since(before.steady);
    let by_the_wall = after.wall - before.wall;
    let drift = TimeDelta::from_std(passed).map(|passed| (by_the_wall - passed).abs());
    passed <= LONGEST_PAUSE && drift.is_ok_and(|drift| drift <= LARGEST_DRIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_stopped_and_a_clock_that_was_set_are_noticed() {
        let before = Moment::now();
        // (what, seconds by the steady clock, seconds by the wall, whether nothing was missed)
        let cases = [
            ("the next look", 1, 1, true),
            ("a slow one", 5, 5, true),
            ("a clock that is corrected", 1, 3, true),
            ("stopped and continued", 45, 45, false),
            ("a machine that slept", 1, 600, false),
            ("a clock that was set forward", 1, 5, false),
            ("a clock that was set back", 1, -300, false),
        ];
        for (what, steady, wall, expected) in cases {
            let after = Moment {
                steady: before.steady + Duration::from_secs(steady),
                wall: before.wall + TimeDelta::seconds(wall),
            };
            assert_eq!(is_continuous(before, after), expected, "{what}");
        }
    }
}
