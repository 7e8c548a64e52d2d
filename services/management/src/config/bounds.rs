//! Bounds that several settings share.

use std::{ops::RangeInclusive, time::Duration};

use humantime::format_duration;
use vpnmanager_runtime::config::{Cli, ConfigError};

/// What such a setting takes, for people.
pub(super) const DURATION: &str = "a duration such as 10s";

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A year of humantime has 365.25 days.
pub(super) const TEN_YEARS: Duration = Duration::from_secs(10 * 31_557_600);
/// The longest time that PostgreSQL is asked to look back: much more would be before its first date.
pub(super) const LONGEST: Duration = Duration::from_secs(1000 * 31_557_600);

/// Refuses a time outside this range; `otherwise` is what would come of it.
pub(super) fn check<S>(
    cli: &Cli<S>,
    key: &str,
    time: Duration,
    range: RangeInclusive<Duration>,
    otherwise: &str,
) -> Result<(), ConfigError> {
    if range.contains(&time) {
        return Ok(());
    }
    let (shortest, longest) = (format_duration(*range.start()), format_duration(*range.end()));
    let reason = format!("it must be from {shortest} to {longest}: {otherwise}");
    Err(cli.reject(key, reason))
}
