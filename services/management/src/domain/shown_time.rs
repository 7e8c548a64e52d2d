//! How times are told to people.

use chrono::{DateTime, SecondsFormat, Utc};

/// To the second, as RFC 3339 writes it: `2026-12-02T03:00:00Z`.
#[must_use]
pub fn shown_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
