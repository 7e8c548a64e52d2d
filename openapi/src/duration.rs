//! Durations: whole numbers with a unit, `5s`.

use std::time::Duration;

/// Of the text of a scalar that checks it: whatever keeps the pattern of one is a duration.
#[must_use]
pub fn duration_of(checked: &str) -> Duration {
    humantime::parse_duration(checked).unwrap_or_default()
}
