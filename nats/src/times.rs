//! Points in time on the wire: the years 1970 to 9999. RFC 3339 has four digits for a year, and nothing of ours is older; beyond that
//! range, arithmetic with times overflows.

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer, de::Error};

/// Reads a time, for `#[serde(deserialize_with = "..")]`.
pub(crate) fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    check(DateTime::deserialize(deserializer)?)
}

/// Reads a time that may be absent; the field also needs `#[serde(default)]`.
pub(crate) fn bounded_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    Option::deserialize(deserializer)?.map(check).transpose()
}

fn check<E: Error>(time: DateTime<Utc>) -> Result<DateTime<Utc>, E> {
    if (1970..=9999).contains(&time.year()) {
        Ok(time)
    } else {
        Err(E::custom("a time must be in the years 1970 to 9999"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Message {
        #[serde(deserialize_with = "bounded")]
        at: DateTime<Utc>,
        #[serde(default, deserialize_with = "bounded_option")]
        end: Option<DateTime<Utc>>,
    }

    fn read(at: &str, end: Option<&str>) -> Option<(i32, Option<i32>)> {
        let mut body = serde_json::json!({ "at": at });
        if let Some(end) = end {
            body["end"] = end.into();
        }
        let message: Message = serde_json::from_value(body).ok()?;
        Some((message.at.year(), message.end.map(|end| end.year())))
    }

    #[test]
    fn times_outside_four_digit_years_after_1970_are_refused() {
        let now = "2026-11-28T00:00:00Z";
        assert_eq!(read(now, None), Some((2026, None)));
        assert_eq!(
            read("1970-01-01T00:00:00Z", Some("9999-12-31T23:59:59Z")),
            Some((1970, Some(9999)))
        );
        for bad in [
            "1969-12-31T23:59:59Z",
            "+262142-12-31T23:59:59Z",
            "-262143-01-01T00:00:01Z",
            "+10000-01-01T00:00:00Z",
            "soon",
        ] {
            assert_eq!(read(bad, None), None, "{bad}");
            assert_eq!(read(now, Some(bad)), None, "{bad}");
        }
    }
}
