//! Bounds that several settings share.

use std::{ops::RangeInclusive, time::Duration};

use humantime::format_duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time that PostgreSQL is asked to look back: much more would be before its first date. A year of humantime has 365.25 days.
pub(super) const LONGEST: Duration = Duration::from_secs(1000 * 31_557_600);

/// What is wrong with a time outside this range; `otherwise` is what would come of it.
pub(super) fn fault(time: Duration, range: &RangeInclusive<Duration>, otherwise: &str) -> Option<String> {
    let (shortest, longest) = (format_duration(*range.start()), format_duration(*range.end()));
    (!range.contains(&time)).then(|| format!("it must be from {shortest} to {longest}: {otherwise}"))
}
