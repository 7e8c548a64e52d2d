//! How long new members of a group have access.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};

/// How long a user has access from its creation on: whole seconds, at least a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(i64);

/// The text is no lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of s, m, h or days, from 60s to 9999days, such as 12h or 90days")]
pub struct InvalidLifetime;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl Lifetime {
    /// What [`FromStr`] takes, and no more. Each number of a unit has as many digits as [`Display`](fmt::Display) may need.
    pub const PATTERN: &'static str = concat!(
        "^(?:(?:[6-9][0-9]|[1-9][0-9]{2,5})s|[1-9][0-9]{0,5}m|[1-9][0-9]{0,4}h",
        "|[1-9][0-9]{0,3}(?:d|day|days))$"
    );
    /// The longest, in seconds.
    const MOST: i64 = 9_999 * DAY;

    /// That many seconds, as the database has them.
    pub fn of_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub fn seconds(self) -> i64 {
        self.0
    }

    /// When the access of a user ends who is created at this time; `None` where no calendar goes that far.
    pub fn end(self, created_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        created_at.checked_add_signed(TimeDelta::try_seconds(self.0)?)
    }
}

impl FromStr for Lifetime {
    type Err = InvalidLifetime;

    fn from_str(text: &str) -> Result<Self, InvalidLifetime> {
        let digits = text
            .find(|digit: char| !digit.is_ascii_digit())
            .ok_or(InvalidLifetime)?;
        let (number, unit) = text.split_at(digits);
        let (unit, most_digits) = match unit {
            "s" => (1, 6),
            "m" => (MINUTE, 6),
            "h" => (HOUR, 5),
            "d" | "day" | "days" => (DAY, 4),
            _ => return Err(InvalidLifetime),
        };
        // No zeros before it.
        if number.len() > most_digits || number.starts_with('0') {
            return Err(InvalidLifetime);
        }
        let number: i64 = number.parse().map_err(|_| InvalidLifetime)?;
        let seconds = number.checked_mul(unit).ok_or(InvalidLifetime)?;
        match (MINUTE..=Self::MOST).contains(&seconds) {
            true => Ok(Self(seconds)),
            false => Err(InvalidLifetime),
        }
    }
}

/// In the largest unit that it is a whole number of.
impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DAY => f.write_str("1day"),
            seconds if seconds % DAY == 0 => write!(f, "{}days", seconds / DAY),
            seconds if seconds % HOUR == 0 => write!(f, "{}h", seconds / HOUR),
            seconds if seconds % MINUTE == 0 => write!(f, "{}m", seconds / MINUTE),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_read_as_its_pattern_says_and_printed_so_that_it_can_be_read_again() {
        let pattern = vpnmanager_openapi::__regex::Regex::new(Lifetime::PATTERN).expect("a pattern");
        for (text, seconds, printed) in [
            ("60s", Some(60), "1m"),
            ("61s", Some(61), "61s"),
            ("999999s", Some(999_999), "999999s"),
            ("90m", Some(5_400), "90m"),
            ("999960m", Some(59_997_600), "16666h"),
            ("12h", Some(43_200), "12h"),
            ("48h", Some(172_800), "2days"),
            ("99999h", Some(359_996_400), "99999h"),
            ("1d", Some(86_400), "1day"),
            ("1day", Some(86_400), "1day"),
            ("90days", Some(7_776_000), "90days"),
            ("9999days", Some(863_913_600), "9999days"),
            ("59s", None, ""),
            ("0m", None, ""),
            ("01h", None, ""),
            ("10000days", None, ""),
            ("100000h", None, ""),
            ("1000000m", None, ""),
            ("1000000s", None, ""),
            ("1h 30m", None, ""),
            ("-1h", None, ""),
            ("1.5h", None, ""),
            ("h", None, ""),
            ("90", None, ""),
            ("", None, ""),
        ] {
            let read = text.parse::<Lifetime>().ok();
            assert_eq!(read.map(Lifetime::seconds), seconds, "{text}");
            assert_eq!(pattern.is_match(text), seconds.is_some(), "{text}");
            if let Some(read) = read {
                assert_eq!(read.to_string(), printed);
                assert_eq!(printed.parse(), Ok(read));
            }
        }
    }

    #[test]
    fn access_ends_that_long_after_the_creation() {
        let created_at = DateTime::from_timestamp(1_900_000_000, 250_000_000).expect("a time");
        let end = Lifetime::of_seconds(60).end(created_at).expect("an end");
        assert_eq!(end - created_at, TimeDelta::seconds(60));
        assert_eq!(Lifetime::of_seconds(i64::MAX).end(created_at), None);
    }
}
