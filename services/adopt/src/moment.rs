//! Times in databases and lists, as programs of all kinds write them.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// With a time zone, but for RFC 3339: as Python and Go print them.
const ZONED: [&str; 3] = [
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%d %H:%M:%S%.f %z UTC",
];
/// Without one: as SQLite's `CURRENT_TIMESTAMP`, which is UTC.
const PLAIN: [&str; 4] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
];
const DATES: [&str; 3] = ["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y"];
/// Seconds since 1970 have fewer digits until the year 5138; what is larger counts milliseconds.
const MOST_SECONDS: u64 = 100_000_000_000;

/// A time that is written as text. A date is its first moment. Without a time zone it is UTC.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let zoned = || {
        let rfc3339 = DateTime::parse_from_rfc3339(text).ok();
        rfc3339.or_else(|| ZONED.iter().find_map(|form| DateTime::parse_from_str(text, form).ok()))
    };
    let plain = || {
        PLAIN
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
    };
    let date = || DATES.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok());
    let number = || text.parse::<i64>().ok().and_then(since_1970);
    let read = zoned()
        .map(|time| time.to_utc())
        .or_else(|| plain().map(|time| time.and_utc()))
        .or_else(|| date().map(|date| date.and_time(NaiveTime::MIN).and_utc()))
        .or_else(number);
    read.filter(is_bounded)
}

/// A time that is written as a number.
pub(crate) fn since_1970(number: i64) -> Option<DateTime<Utc>> {
    let read = if number.unsigned_abs() < MOST_SECONDS {
        DateTime::from_timestamp(number, 0)
    } else {
        DateTime::from_timestamp_millis(number)
    };
    read.filter(is_bounded)
}

/// The years that messages of ours can carry.
pub(crate) fn is_bounded(time: &DateTime<Utc>) -> bool {
    (1970..=9999).contains(&time.year())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_programs_write_them() {
        let cases = [
            ("2023-01-02T03:04:05Z", "2023-01-02T03:04:05+00:00"),
            ("2023-01-02T03:04:05+01:00", "2023-01-02T02:04:05+00:00"),
            ("2023-01-02 03:04:05+00:00", "2023-01-02T03:04:05+00:00"),
            ("2023-01-02 03:04:05", "2023-01-02T03:04:05+00:00"),
            ("2023-01-02 03:04:05 +0200 UTC", "2023-01-02T01:04:05+00:00"),
            ("2023-01-02 03:04:05 +0000", "2023-01-02T03:04:05+00:00"),
            ("2023-01-02T03:04:05", "2023-01-02T03:04:05+00:00"),
            ("2023-01-02 03:04", "2023-01-02T03:04:00+00:00"),
            (" 2023-01-02 ", "2023-01-02T00:00:00+00:00"),
            ("20230102", "2023-01-02T00:00:00+00:00"),
            ("02.01.2023", "2023-01-02T00:00:00+00:00"),
            ("1672628645", "2023-01-02T03:04:05+00:00"),
            ("1672628645000", "2023-01-02T03:04:05+00:00"),
        ];
        for (text, expected) in cases {
            let read = moment(text).map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), Some(expected), "{text:?}");
        }
        let fraction = moment("2023-01-02 03:04:05.678901").expect("a time");
        assert_eq!(fraction.timestamp_subsec_millis(), 678);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "never",
            "0000-00-00 00:00:00",
            "2023-02-30",
            "2023-13-01 00:00:00",
            "1969-12-31T23:59:59Z",
            "12345-01-01",
            "9223372036854775807",
            "-9223372036854775808",
        ] {
            assert_eq!(moment(text), None, "{text:?}");
        }
    }
}
