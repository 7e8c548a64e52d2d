//! Points in time: RFC 3339, in UTC with `Z`, in the years 1970 to 9999, as on the bus.

use std::fmt::{self, Display};
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A point in time of the API. Years outside 1970..=9999 are refused: nothing of ours is older, and later ones have no RFC 3339 form.
/// The bus has the same bounds, so what the API takes can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(DateTime<Utc>);

/// The years, for the description. A pattern cannot say that an offset may lead out of them.
const YEARS: &str = "^(?:19[7-9][0-9]|[2-9][0-9]{3})-";

impl Timestamp {
    /// The time in chrono's type.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        self.0
    }

    /// The current time.
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now())
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(time: Timestamp) -> Self {
        time.0
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = DateTime::parse_from_rfc3339(text)
            .map_err(|_unclear| "must be an RFC 3339 time such as 2027-03-01T12:00:00Z".to_owned())?;
        let time = time.with_timezone(&Utc);
        if (1970..=9999).contains(&time.year()) {
            Ok(Self(time))
        } else {
            Err("must be in the years 1970 to 9999".to_owned())
        }
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

crate::scalar_impls! {
    Timestamp, "string", "date-time",
    |schema| {
        schema.example = Some(Value::from("2027-03-01T12:00:00Z"));
        schema.pattern = Some(YEARS.to_owned());
    },
    |text| Timestamp::from_str(text),
    |value| Value::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc_with_z() {
        let time: Timestamp = "2027-03-01T12:00:00.5+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2027-03-01T10:00:00.500Z");
    }

    #[test]
    fn the_described_years_are_those_that_are_taken() {
        let years = regex::Regex::new(YEARS).unwrap();
        for year in 0..=9999 {
            let text = format!("{year:04}-07-01T00:00:00Z");
            assert_eq!(years.is_match(&text), text.parse::<Timestamp>().is_ok(), "{text}");
        }
    }

    #[test]
    fn times_outside_four_digit_years_after_1970_are_refused() {
        for text in [
            "+262142-12-31T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:59:59+01:00",
            "9999-12-31T23:59:59-01:00",
            "2027-03-01",
            "soon",
            "",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert!("1970-01-01T00:00:00Z".parse::<Timestamp>().is_ok());
    }
}
