//! How long the history of sessions and traffic is kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};

use super::bounds::{DAY, TEN_YEARS, check};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "history.sessions",
        "SESSION_HISTORY",
        "How long sessions are kept in the history",
        "a duration such as 90days",
    )
    .default("90days"),
    Setting::new(
        "history.traffic",
        "TRAFFIC_HISTORY",
        "How long the traffic of each day is kept",
        "a duration such as 400days",
    )
    .default("400days"),
];

/// How long the history of sessions and traffic is kept.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct HistoryConfig {
    /// SESSION_HISTORY: a day to ten years, counted from when management heard of a session last.
    #[serde(with = "humantime_serde")]
    pub sessions: Duration,
    /// TRAFFIC_HISTORY: a day to ten years.
    #[serde(with = "humantime_serde")]
    pub traffic: Duration,
}

impl HistoryConfig {
    pub(super) fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        let otherwise =
            "old sessions and days are removed once an hour, and each costs room in the database while it is kept";
        check(cli, "history.sessions", self.sessions, DAY..=TEN_YEARS, otherwise)?;
        check(cli, "history.traffic", self.traffic, DAY..=TEN_YEARS, otherwise)
    }
}
