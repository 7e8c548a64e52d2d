//! Durations for the API, which takes whole numbers of one unit.

use std::time::Duration;

/// The longest that management waits in one request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// `30d` as `30days`, `90m` as `90m`: a whole number of the largest unit that fits.
pub(crate) fn in_one_unit(text: &str) -> Result<String, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is no duration such as 12h or 30d: {error}"))?;
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 || seconds == 0 {
        return Err(format!("{text} is not a whole number of seconds"));
    }
    let units = [(86_400, "days"), (3_600, "h"), (60, "m"), (1, "s")];
    let fitting = units.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = fitting.copied().unwrap_or((1, "s"));
    Ok(format!("{}{name}", seconds / unit))
}

/// What to ask management to wait of this duration; the rest is asked for again and again.
pub(crate) fn wait_text(wait: Duration) -> String {
    format!("{}ms", wait.min(LONGEST_WAIT).as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_gets_the_largest_unit_that_fits() {
        for (text, expected) in [
            ("30d", Some("30days")),
            ("1week", Some("7days")),
            ("36h", Some("36h")),
            ("1d 12h", Some("36h")),
            ("90m", Some("90m")),
            ("90s", Some("90s")),
            ("0s", None),
            ("1500ms", None),
            ("soon", None),
        ] {
            assert_eq!(in_one_unit(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn management_waits_a_minute_at_most() {
        assert_eq!(wait_text(Duration::from_secs(5)), "5000ms");
        assert_eq!(wait_text(Duration::from_secs(600)), "60000ms");
    }
}
