//! `?wait=5s`: how long the caller wants to wait for the nodes.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(60);

/// A wait of 0 to 60 s, as humantime text. Use it as `wait: Query<Option<Wait>>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(Duration);

impl Wait {
    /// The duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wait = humantime::parse_duration(text)
            .map_err(|_unclear| "must be a duration such as 500ms, 5s or 1m".to_owned())?;
        if wait <= LONGEST {
            Ok(Self(wait))
        } else {
            Err("must not be longer than 60s".to_owned())
        }
    }
}

crate::scalar_impls! {
    Wait, "string", "duration-text",
    |schema| { schema.example = Some(Value::from("5s")); },
    |text| Wait::from_str(text),
    |value| Value::from(humantime::format_duration(value.0).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn humantime_text_up_to_a_minute_is_a_wait() {
        for (text, expected) in [
            ("0s", Some(0)),
            ("5s", Some(5)),
            ("1m", Some(60)),
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
