//! One value of a row, whatever program wrote it.

use chrono::{DateTime, Utc};

use crate::moment::{moment, since_1970};

/// Access that does not end by itself, in lists that were exported from VPN Manager.
const NEVER: &str = "never";

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// The list has no such column, or nothing in it.
    Absent,
    /// The database says that there is no value.
    Null,
    Text(String),
    Number(i64),
    /// Bytes that are no text, and numbers that are none of ours.
    Other,
}

/// That a value is not what its column should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Odd;

impl Cell {
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Absent | Self::Null | Self::Other => None,
        }
    }

    pub(super) fn time(&self) -> Result<Option<DateTime<Utc>>, Odd> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Text(text) if text.trim().is_empty() || text.trim().eq_ignore_ascii_case(NEVER) => Ok(None),
            Self::Text(text) => moment(text).map(Some).ok_or(Odd),
            Self::Number(number) => since_1970(*number).map(Some).ok_or(Odd),
            Self::Other => Err(Odd),
        }
    }

    /// `None`: the list does not say.
    pub(super) fn truth(&self) -> Result<Option<bool>, Odd> {
        match self {
            Self::Absent => Ok(None),
            Self::Number(1) => Ok(Some(true)),
            Self::Number(0) => Ok(Some(false)),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "1" | "true" | "t" | "yes" | "y" | "on" => Ok(Some(true)),
                "0" | "false" | "f" | "no" | "n" | "off" => Ok(Some(false)),
                _ => Err(Odd),
            },
            Self::Null | Self::Number(_) | Self::Other => Err(Odd),
        }
    }
}
