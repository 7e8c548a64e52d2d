//! What one node may send on the bus.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "budget.heartbeats",
        "BUDGET_HEARTBEATS",
        "Heartbeats of one node in a second",
        RATE,
    )
    .default("2"),
    Setting::new(
        "budget.syncs",
        "BUDGET_SYNCS",
        "Sync requests of one node in a second",
        RATE,
    )
    .default("10"),
    Setting::new(
        "budget.signs",
        "BUDGET_SIGNS",
        "Signing requests of one node in a second",
        RATE,
    )
    .default("200"),
    Setting::new(
        "budget.intents",
        "BUDGET_INTENTS",
        "Local requests of one node in a second",
        RATE,
    )
    .default("50"),
    Setting::new(
        "budget.reports",
        "BUDGET_REPORTS",
        "Acks and events of one node in a second",
        RATE,
    )
    .default("2000"),
    Setting::new(
        "budget.bytes",
        "BUDGET_BYTES",
        "Bytes in heartbeats and requests of one node in a second",
        RATE,
    )
    .default("8000000"),
    Setting::new(
        "budget.connections",
        "BUDGET_CONNECTIONS",
        "Connections of one node at the same time",
        RATE,
    )
    .default("8"),
    Setting::new(
        "budget.traffic",
        "BUDGET_TRAFFIC",
        "Messages of all kinds of one node in a second, as the bus counts them",
        RATE,
    )
    .default("50000"),
    Setting::new(
        "budget.traffic_bytes",
        "BUDGET_TRAFFIC_BYTES",
        "Bytes in them in a second",
        RATE,
    )
    .default("64000000"),
    Setting::new(
        "budget.cut_off_after",
        "BUDGET_CUT_OFF_AFTER",
        "Messages beyond its budget in ten seconds that cut a node off the bus",
        RATE,
    )
    .default("500"),
    Setting::new(
        "budget.cut_off_for",
        "BUDGET_CUT_OFF_FOR",
        "How long a node is cut off the bus",
        "a duration from 1s to 1day",
    )
    .default("1m"),
];

const RATE: &str = "a number from 1 on";
const CUT_OFF_FOR: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// What one node may send on the bus. The first six are rates, in messages per second (bytes per second for `bytes`). Of heartbeats and bytes,
/// ten seconds' worth may come at once, and what is beyond is dropped. The others wait: of reports a sixteenth of a second's worth may come
/// at once, of the rest a second's; what is beyond the room for what waits is dropped. The next three are measured by what the bus counts;
/// what is beyond cuts the node off.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct BudgetConfig {
    /// BUDGET_HEARTBEATS.
    pub heartbeats: NonZeroU32,
    /// BUDGET_SYNCS.
    pub syncs: NonZeroU32,
    /// BUDGET_SIGNS.
    pub signs: NonZeroU32,
    /// BUDGET_INTENTS.
    pub intents: NonZeroU32,
    /// BUDGET_REPORTS.
    pub reports: NonZeroU32,
    /// BUDGET_BYTES: of all but reports.
    pub bytes: NonZeroU32,
    /// BUDGET_CONNECTIONS: at the same time.
    pub connections: NonZeroU32,
    /// BUDGET_TRAFFIC: of all kinds, measured over five seconds; more cuts the node off.
    pub traffic: NonZeroU32,
    /// BUDGET_TRAFFIC_BYTES: in these.
    pub traffic_bytes: NonZeroU32,
    /// BUDGET_CUT_OFF_AFTER: messages that were dropped within ten seconds.
    pub cut_off_after: NonZeroU32,
    /// BUDGET_CUT_OFF_FOR.
    #[serde(with = "humantime_serde")]
    pub cut_off_for: Duration,
}

impl BudgetConfig {
    pub(super) fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        if CUT_OFF_FOR.contains(&self.cut_off_for) {
            return Ok(());
        }
        Err(cli.reject("budget.cut_off_for", "it is not between 1s and 1day"))
    }
}
