//! How values are written into columns, and read from them.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};

use super::error::JournalError;

/// Whole microseconds since 1970, the precision that PostgreSQL has.
pub(super) fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

pub(super) fn time(micros: i64, what: &'static str) -> Result<DateTime<Utc>, JournalError> {
    DateTime::from_timestamp_micros(micros).ok_or(JournalError::Value { what })
}

/// Fails only for a type that JSON cannot hold, which no wire type is.
pub(super) fn json<T: Serialize>(value: &T, what: &'static str) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(|_unprintable| JournalError::Value { what })
}

pub(super) fn from_json<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T, JournalError> {
    serde_json::from_str(text).map_err(|_unreadable| JournalError::Value { what })
}

/// A column of text that parses.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, column: &str, what: &'static str) -> Result<T, JournalError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_unreadable| JournalError::Value { what })
}
