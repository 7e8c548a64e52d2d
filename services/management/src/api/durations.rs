//! Durations of the API: a whole number with a unit, within bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use vpnmanager_openapi::duration::duration_of;
use vpnmanager_openapi::text_scalar;

const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

text_scalar! {
    /// How long something is valid: a whole number of `s`, `m`, `h` or `days`.
    pub(super) struct TimeToLive {
        format: "time-to-live",
        pattern: concat!(
            "^(?:(?:[1-9][0-9]{0,4}|[1-5][0-9]{5}|60[0-3][0-9]{3}|604[0-7][0-9]{2}|604800)s",
            "|(?:[1-9][0-9]{0,3}|100[0-7][0-9]|10080)m",
            "|(?:[1-9][0-9]?|1[0-5][0-9]|16[0-8])h",
            "|[1-7](?:d|day|days))$"
        ),
        length: 2..=7,
        example: "1h",
        check: |text| within(text, SHORTEST_TTL..=LONGEST_TTL, "from 1s to 7days, such as 30m, 1h or 2days"),
    }
}

const SHORTEST_DRAIN: Duration = Duration::from_secs(10);
const LONGEST_DRAIN: Duration = Duration::from_secs(24 * 60 * 60);

text_scalar! {
    /// How long a drain may take: a whole number of `s`, `m` or `h`, from 10 s to 24 h.
    pub(super) struct DrainTime {
        format: "drain-time",
        pattern: concat!(
            "^(?:(?:[1-9][0-9]{1,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)s",
            "|(?:[1-9][0-9]{0,2}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m",
            "|(?:[1-9]|1[0-9]|2[0-4])h)$"
        ),
        length: 2..=6,
        example: "10m",
        check: |text| within(text, SHORTEST_DRAIN..=LONGEST_DRAIN, "from 10s to 24h, such as 30s, 10m or 1h"),
    }
}

impl TimeToLive {
    /// The duration.
    pub(super) fn duration(&self) -> Duration {
        duration_of(self.as_str())
    }
}

impl DrainTime {
    /// The duration.
    pub(super) fn duration(&self) -> Duration {
        duration_of(self.as_str())
    }
}

/// Whether the text is a duration in this range; if not, what it must be. `expected` says the range, with examples.
fn within(text: &str, range: RangeInclusive<Duration>, expected: &str) -> Result<(), String> {
    match humantime::parse_duration(text) {
        Ok(duration) if range.contains(&duration) => Ok(()),
        Ok(_) | Err(_) => Err(format!("must be a duration {expected}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_a_number_with_a_unit_up_to_a_week() {
        for (text, seconds) in [
            ("1s", Some(1)),
            ("604800s", Some(604_800)),
            ("10080m", Some(604_800)),
            ("168h", Some(604_800)),
            ("1d", Some(86_400)),
            ("7days", Some(604_800)),
            ("604801s", None),
            ("10081m", None),
            ("169h", None),
            ("8days", None),
            ("0s", None),
            ("1h 30m", None),
            ("1", None),
        ] {
            let ttl = text.parse::<TimeToLive>().ok().map(|ttl| ttl.duration().as_secs());
            assert_eq!(ttl, seconds, "{text}");
        }
    }

    #[test]
    fn a_drain_may_take_ten_seconds_to_a_day() {
        for (text, seconds) in [
            ("10s", Some(10)),
            ("99999s", None),
            ("86400s", Some(86_400)),
            ("86401s", None),
            ("9s", None),
            ("1m", Some(60)),
            ("1440m", Some(86_400)),
            ("1441m", None),
            ("24h", Some(86_400)),
            ("25h", None),
            ("1h 30m", None),
            ("1d", None),
            ("10", None),
        ] {
            let time = text.parse::<DrainTime>().ok().map(|time| time.duration().as_secs());
            assert_eq!(time, seconds, "{text}");
        }
    }
}
