//! Until when something is accepted; `None` is for ever.

use chrono::{DateTime, Utc};

/// Whether it ends earlier than before.
#[must_use]
pub fn ends_earlier(before: Option<DateTime<Utc>>, after: Option<DateTime<Utc>>) -> bool {
    match (before, after) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_for_ever_ends_later_than_all_else() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        for (before, after, expected) in [
            (None, None, false),
            (None, at(1), true),
            (at(1), None, false),
            (at(2), at(1), true),
            (at(1), at(1), false),
            (at(1), at(2), false),
        ] {
            assert_eq!(ends_earlier(before, after), expected, "{before:?} {after:?}");
        }
    }
}
