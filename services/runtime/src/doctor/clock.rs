//! Whether a clock is right: compared with another one, and whether anything keeps it so.

use std::{process::Stdio, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::process::Command;

use super::check::{Seen, Trouble, Verdict};

/// What keeps clocks right on machines with systemd.
const MEND: &str = "timedatectl set-ntp true || apt-get install chrony";
/// How long systemd may take to say it. Where its time service cannot be started, it takes half a minute to say nothing.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far clocks may differ before somebody should look at it.
const NOTABLE: Duration = Duration::from_secs(1);
/// How much later than its `Date` header an answer may have been written: the header has whole seconds, and servers make it once a second.
const DATE_MAY_BE_OLD: TimeDelta = TimeDelta::seconds(2);

/// Judges that this clock is so many milliseconds ahead of that of `other`, or behind when negative. More than `most` is a failure.
#[must_use]
pub fn difference(other: &str, ahead_ms: i64, most: Duration) -> Verdict {
    let side = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let found = format!("this clock is {} ms {side} that of {other}", ahead_ms.unsigned_abs());
    let off = Duration::from_millis(ahead_ms.unsigned_abs());
    let why = "one of the two is wrong; leases, signatures and certificates go by them";
    if off > most {
        Verdict::Failed(Trouble::new(found, why, MEND))
    } else if off > NOTABLE {
        Verdict::Warning(Trouble::new(found, why, MEND))
    } else {
        Verdict::Fine(found)
    }
}

/// By how many milliseconds this clock is ahead of that of a server at least, behind when negative, as the `Date` header of its answer says (RFC 9110,
/// 6.6.1). 0: they may agree. `None`: that is no date.
#[must_use]
pub fn ahead_of_date(date: &str, asked: DateTime<Utc>, answered: DateTime<Utc>) -> Option<i64> {
    let told = DateTime::parse_from_rfc2822(date).ok()?.to_utc();
    let least = (asked - told - DATE_MAY_BE_OLD).num_milliseconds();
    let most = (answered - told).num_milliseconds();
    Some(if least > 0 { least } else { most.min(0) })
}

/// Whether the kernel's clock is kept by a time service, as systemd says. Skipped where nobody says it.
pub async fn time_service() -> Seen {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    let said = asked.ok().and_then(Result::ok).filter(|output| output.status.success());
    let said = said.and_then(|output| String::from_utf8(output.stdout).ok());
    judged(said.as_deref().map(str::trim))
}

fn judged(said: Option<&str>) -> Seen {
    match said {
        Some("yes") => Seen::fine("a time service keeps the clock", ()),
        Some("no") => Seen::warning(
            Trouble::new(
                "no time service keeps the clock",
                "it will drift away from those of the other machines",
                MEND,
            ),
            (),
        ),
        Some(_) | None => Seen::skipped("timedatectl does not say whether a time service keeps the clock"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        let most = Duration::from_secs(5);
        let judged = |ahead_ms| difference("PostgreSQL", ahead_ms, most);
        assert!(matches!(judged(-300), Verdict::Fine(found) if found.contains("300 ms behind")));
        assert!(matches!(judged(2_000), Verdict::Warning(_)));
        for off in [-5_001, 5_001, i64::MIN] {
            assert!(matches!(judged(off), Verdict::Failed(trouble) if trouble.mend.as_deref() == Some(MEND)));
        }
    }

    #[test]
    fn a_date_of_whole_seconds_that_took_a_while_is_no_difference() {
        let told = DateTime::parse_from_rfc2822("Tue, 01 Dec 2026 04:56:10 GMT")
            .unwrap()
            .to_utc();
        let ahead = |asked_ms, answered_ms| {
            let at = |ms| told + TimeDelta::milliseconds(ms);
            ahead_of_date("Tue, 01 Dec 2026 04:56:10 GMT", at(asked_ms), at(answered_ms))
        };
        for (asked, answered) in [(0, 1), (-500, 700), (900, 1_003), (1_990, 2_500)] {
            assert_eq!(ahead(asked, answered), Some(0), "{asked} {answered}");
        }
        assert_eq!(ahead(5_000, 5_100), Some(3_000));
        assert_eq!(ahead(-4_100, -4_000), Some(-4_000));
        assert_eq!(ahead_of_date("yesterday", told, told), None);
    }

    #[test]
    fn what_nobody_says_is_not_judged() {
        let verdict = |said| judged(said).verdicts.remove(0).1;
        assert!(matches!(verdict(Some("yes")), Verdict::Fine(_)));
        assert!(matches!(verdict(Some("no")), Verdict::Warning(_)));
        for unclear in [None, Some(""), Some("perhaps")] {
            assert!(matches!(verdict(unclear), Verdict::Skipped { .. }));
        }
    }
}
