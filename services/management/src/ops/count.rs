//! Numbers of rows, as columns hold them.

/// The number; more than a column holds is the most that it holds.
pub(in crate::ops) fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
