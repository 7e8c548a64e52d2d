//! When a node counts as gone, and how its health is watched.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};

use super::bounds::{DAY, DURATION, HOUR, LONGEST, SECOND, check};

/// The clocks of one rack differ by less.
const SHORTEST_SKEW: Duration = Duration::from_millis(100);

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "health.stale_after",
        "HEALTH_STALE_AFTER",
        "Without a heartbeat for this long a node is stale",
        DURATION,
    )
    .default("15s"),
    Setting::new(
        "health.lost_after",
        "HEALTH_LOST_AFTER",
        "Without a heartbeat for this long a node is lost",
        DURATION,
    )
    .default("30s"),
    Setting::new(
        "health.max_clock_skew",
        "HEALTH_MAX_CLOCK_SKEW",
        "A node whose clock is off by more than this is degraded",
        DURATION,
    )
    .default("2s"),
    Setting::new(
        "health.rehome_after",
        "HEALTH_REHOME_AFTER",
        "The homes of a node that is lost for this long go to other nodes",
        DURATION,
    )
    .default("5m"),
    Setting::new(
        "health.storage_probe",
        "HEALTH_STORAGE_PROBE",
        "How often management stores a message on the bus to see that the bus stores what it is sent",
        DURATION,
    )
    .default("5s"),
    Setting::new(
        "health.keep_history",
        "HEALTH_KEEP_HISTORY",
        "How long the samples of nodes' health are kept",
        "a duration such as 90days",
    )
    .default("90days"),
];

/// When a node counts as gone.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
pub struct HealthConfig {
    /// HEALTH_STALE_AFTER: a second to 1000 years.
    #[serde(with = "humantime_serde")]
    pub stale_after: Duration,
    /// HEALTH_LOST_AFTER: longer than `stale_after`, to 1000 years.
    #[serde(with = "humantime_serde")]
    pub lost_after: Duration,
    /// HEALTH_MAX_CLOCK_SKEW: 100 ms to a day.
    #[serde(with = "humantime_serde")]
    pub max_clock_skew: Duration,
    /// HEALTH_REHOME_AFTER: counted from when the node is lost, a second to 1000 years.
    #[serde(with = "humantime_serde")]
    pub rehome_after: Duration,
    /// HEALTH_STORAGE_PROBE: a second to a day.
    #[serde(with = "humantime_serde")]
    pub storage_probe: Duration,
    /// HEALTH_KEEP_HISTORY: an hour to 1000 years.
    #[serde(with = "humantime_serde")]
    pub keep_history: Duration,
}

impl HealthConfig {
    pub(super) fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        for (key, time, range, otherwise) in [
            (
                "health.stale_after",
                self.stale_after,
                SECOND..=LONGEST,
                "a heartbeat comes every few seconds, and every node would be stale until the next one",
            ),
            (
                "health.lost_after",
                self.lost_after,
                SECOND..=LONGEST,
                "a heartbeat comes every few seconds, and every node would be lost until the next one",
            ),
            (
                "health.max_clock_skew",
                self.max_clock_skew,
                SHORTEST_SKEW..=DAY,
                "a heartbeat is under way for some milliseconds, and every node would be degraded, or none for its clock",
            ),
            (
                "health.rehome_after",
                self.rehome_after,
                SECOND..=LONGEST,
                "users would move away from a node that is back in a moment",
            ),
            (
                "health.storage_probe",
                self.storage_probe,
                SECOND..=DAY,
                "the bus would have nothing else to do, or nobody would notice that it stores nothing",
            ),
            (
                "health.keep_history",
                self.keep_history,
                HOUR..=LONGEST,
                "old samples are removed once an hour",
            ),
        ] {
            check(cli, key, time, range, otherwise)?;
        }
        if self.lost_after <= self.stale_after {
            return Err(cli.reject("health.lost_after", "it must be longer than health.stale_after"));
        }
        Ok(())
    }
}
