//! `?wait=5s`: how long the caller wants to wait for the nodes.

use std::time::Duration;

use crate::duration::duration_of;

/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(60);

crate::text_scalar! {
    /// A wait of 0 to 60 s: a whole number of `ms`, `s` or `m`. Use it as `wait: Query<Option<Wait>>`.
    pub struct Wait {
        format: "wait",
        pattern: "^(?:(?:[0-9]{1,4}|[1-5][0-9]{4}|60000)ms|(?:[0-9]|[1-5][0-9]|60)s|[01]m)$",
        length: 2..=7,
        example: "5s",
        check: |text| match humantime::parse_duration(text) {
            Ok(wait) if wait > LONGEST => Err("must not be longer than 60s".to_owned()),
            Ok(_) => Ok(()),
            Err(_) => Err("must be a duration such as 500ms, 5s or 1m".to_owned()),
        },
    }
}

impl Wait {
    /// The duration.
    #[must_use]
    pub fn duration(&self) -> Duration {
        duration_of(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_with_a_unit_up_to_a_minute_is_a_wait() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("5s", Some(5)),
            ("1m", Some(60)),
            ("60s", Some(60)),
            ("60000ms", Some(60)),
            ("60001ms", None),
            ("2m", None),
            ("1s 500ms", None),
            ("5sec", None),
            ("61s", None),
            ("-1s", None),
            ("5", None),
            ("", None),
        ] {
            let wait = text.parse::<Wait>().ok().map(|wait| wait.duration().as_secs());
            assert_eq!(wait, expected, "{text}");
        }
    }
}
