//! How long to wait before a failed action is tried again.

use std::time::Duration;

/// Doubling pauses: the shortest after the first failure, never more than the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
}

impl Backoff {
    /// Pauses from `shortest` to `longest`.
    #[must_use]
    pub const fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest }
    }

    /// The pause after so many failures in a row, counted from 1.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        // 2^16 times the shortest pause is longer than any longest pause.
        let doublings = failures.saturating_sub(1).min(16);
        self.shortest.saturating_mul(1 << doublings).min(self.longest)
    }
}

/// 0.9 to 1.1 times the duration, so that many processes do not try again at the same moment.
#[must_use]
pub fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_the_shortest_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let pauses = |failures: &[u32]| -> Vec<u128> {
            failures.iter().map(|count| backoff.after(*count).as_millis()).collect()
        };
        assert_eq!(
            pauses(&[0, 1, 2, 3, 5, 6, 1000]),
            [200, 200, 400, 800, 3200, 5000, 5000]
        );
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let second = Duration::from_secs(1);
        for _ in 0..1000 {
            let jittered = jittered(second);
            assert!(
                jittered >= second.mul_f64(0.899) && jittered <= second.mul_f64(1.101),
                "{jittered:?}"
            );
        }
    }
}
