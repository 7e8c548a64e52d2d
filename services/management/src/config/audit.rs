//! The audit trail.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vpnmanager_runtime::config::{Cli, ConfigError, Setting};

use super::bounds::{DAY, LONGEST, check};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "audit.node_events",
        "AUDIT_NODE_EVENTS",
        "Audit entries of each action that a node may cause in one hour; what is beyond is only counted",
        "a number from 1 to 1000000",
    )
    .default("600"),
    Setting::new(
        "audit.archive_after",
        "AUDIT_ARCHIVE_AFTER",
        "Months of the audit trail that are older than this and not archived are named in a warning each day",
        "a duration such as 400days",
    )
    .default("400days"),
];

/// The audit trail.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct AuditConfig {
    /// AUDIT_NODE_EVENTS: entries of each action that a node may cause in one hour, 1 to 1,000,000. Chatter such as `openvpn_up` gets a
    /// tenth.
    pub node_events: u32,
    /// AUDIT_ARCHIVE_AFTER: a day to 1000 years, counted from the end of a month. Nothing is deleted because of it.
    #[serde(with = "humantime_serde")]
    pub archive_after: Duration,
}

impl AuditConfig {
    pub(super) fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        if !(1..=1_000_000).contains(&self.node_events) {
            return Err(cli.reject("audit.node_events", "it is not in that range"));
        }
        let otherwise = "a month is archived when it is over";
        check(cli, "audit.archive_after", self.archive_after, DAY..=LONGEST, otherwise)
    }
}
