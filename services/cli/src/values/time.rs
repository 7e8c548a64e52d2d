//! Moments: `30d` from now on, `2027-03-01`, `2027-03-01T12:00:00Z`, or `never`.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use serde_json::Value;

/// When something ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It does not end.
    Never,
    /// That long from the start of the command on.
    After(Duration),
    /// Then.
    At(DateTime<Utc>),
}

impl Moment {
    /// For the API: RFC 3339, or `null` where there is no end.
    pub(crate) fn of(&self, now: DateTime<Utc>) -> Value {
        let time = match self {
            Self::Never => return Value::Null,
            Self::After(duration) => {
                match now.checked_add_signed(chrono::Duration::from_std(*duration).unwrap_or_default()) {
                    Some(time) => time,
                    None => return Value::Null,
                }
            }
            Self::At(time) => *time,
        };
        Value::String(time.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    /// The same from now on.
    pub(crate) fn value(&self) -> Value {
        self.of(Utc::now())
    }

    /// A time in the past: a duration is how long ago.
    pub(crate) fn past(&self) -> String {
        let now = Utc::now();
        let time = match self {
            Self::Never => DateTime::UNIX_EPOCH,
            Self::After(duration) => chrono::Duration::from_std(*duration)
                .ok()
                .and_then(|duration| now.checked_sub_signed(duration))
                .unwrap_or(DateTime::UNIX_EPOCH),
            Self::At(time) => *time,
        };
        time.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

/// Reads one.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if matches!(text, "never" | "none") {
        return Ok(Moment::Never);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(time.with_timezone(&Utc)));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Moment::At(day.and_time(NaiveTime::MIN).and_utc()));
    }
    // A hundred years: more is a slip of the finger, and not every calendar has it.
    let longest = Duration::from_secs(100 * 366 * 86_400);
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= longest => Ok(Moment::After(duration)),
        Ok(_) => Err(format!("{text} is more than a hundred years")),
        Err(_) => Err(format!(
            "{text:?} is neither a duration such as 30d, a date such as 2027-03-01, a time of RFC 3339, nor never"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_durations_days_times_and_never() {
        let now = DateTime::parse_from_rfc3339("2026-11-30T10:00:00Z")
            .unwrap()
            .with_timezone(&Utc);
        for (text, expected) in [
            ("30d", "2026-12-30T10:00:00Z"),
            ("12h", "2026-11-30T22:00:00Z"),
            ("2027-03-01", "2027-03-01T00:00:00Z"),
            ("2027-03-01T12:00:00+02:00", "2027-03-01T10:00:00Z"),
        ] {
            assert_eq!(moment(text).unwrap().of(now), Value::from(expected), "{text}");
        }
        assert_eq!(moment("never").unwrap().of(now), Value::Null);
        for wrong in ["", "soon", "2027-13-01", "900years"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
