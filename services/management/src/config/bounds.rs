//! Bounds that several settings share.

use std::time::Duration;

/// The longest time that PostgreSQL is asked to look back: much more would be before its first date. A year of humantime has 365.25 days.
pub(super) const LONGEST: Duration = Duration::from_secs(1000 * 31_557_600);
/// What is wrong with a longer one.
pub(super) const TOO_LONG: &str = "it must be at most 1000years";
