//! What changes of sessions add to the traffic of days.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use vpnmanager_entities::{session, traffic_day};
use vpnmanager_nats::ids::NodeId;

use super::session_history::{Change, last_alive};

/// Nothing counts on an earlier day: a clock may be far in the past. Reports wait on the bus for 7 days.
const MOST_BEHIND: TimeDelta = TimeDelta::days(8);

/// A day of a user on a node.
type Key = (NaiveDate, i64, NodeId);

/// Bytes from clients and to them.
type Bytes = (i64, i64);

/// What is to be added, in the order of days, users and nodes. What is new in a report counts on the days (UTC) over which it came: since the
/// session was last known to be alive, or began, until the node saw it alive. A session counts on the day when it began. No day is after that of
/// `now`, nor more than 8 days before. A session of a user who was gone counts for nobody.
pub fn additions(changes: &[Change], now: DateTime<Utc>) -> Vec<traffic_day::Model> {
    let mut days = BTreeMap::new();
    for change in changes {
        let (from, until) = (change.from, last_alive(&change.row));
        for (day, (bytes_in, bytes_out)) in spread((change.bytes_in, change.bytes_out), from, until, now) {
            add(&mut days, &change.row, day, |day| {
                day.bytes_in = day.bytes_in.saturating_add(bytes_in);
                day.bytes_out = day.bytes_out.saturating_add(bytes_out);
            });
        }
        if change.began {
            add(&mut days, &change.row, day_of(change.row.since, now), |day| {
                day.sessions = day.sessions.saturating_add(1);
            });
        }
    }
    days.into_values().collect()
}

fn day_of(at: DateTime<Utc>, now: DateTime<Utc>) -> NaiveDate {
    at.clamp(now - MOST_BEHIND, now).date_naive()
}

/// The days between the two moments, each with what came on it if as much came in each second. The parts add up to the whole. What came before
/// the earliest day or after the day of `now` counts on these. Days with nothing are left out.
fn spread(bytes: Bytes, from: DateTime<Utc>, until: DateTime<Utc>, now: DateTime<Utc>) -> Vec<(NaiveDate, Bytes)> {
    let last = day_of(until, now);
    let first = day_of(from, now).min(last);
    let time = until - from;
    let mut before = (0, 0);
    let mut parts = Vec::new();
    for day in first.iter_days().take_while(|day| *day <= last) {
        let upto = match day.succ_opt().filter(|next| *next <= last) {
            Some(next) => {
                let passed = next.and_time(NaiveTime::MIN).and_utc() - from;
                (share(bytes.0, passed, time), share(bytes.1, passed, time))
            }
            None => bytes,
        };
        let part = (upto.0 - before.0, upto.1 - before.1);
        if part != (0, 0) {
            parts.push((day, part));
        }
        before = upto;
    }
    parts
}

/// How many of the bytes that came in all of the time came in a part of it, rounded down.
fn share(bytes: i64, passed: TimeDelta, time: TimeDelta) -> i64 {
    let time = i128::from(time.num_milliseconds()).max(1);
    let passed = i128::from(passed.num_milliseconds()).clamp(0, time);
    i64::try_from(i128::from(bytes) * passed / time).unwrap_or(bytes)
}

fn add(
    days: &mut BTreeMap<Key, traffic_day::Model>,
    row: &session::Model,
    day: NaiveDate,
    more: impl FnOnce(&mut traffic_day::Model),
) {
    let (Some(user_id), Some(username)) = (row.user_id, &row.username) else {
        return;
    };
    let key = (day, user_id, row.server_id.clone());
    more(days.entry(key).or_insert_with(|| traffic_day::Model {
        day,
        user_id,
        server_id: row.server_id.clone(),
        username: username.clone(),
        bytes_in: 0,
        bytes_out: 0,
        sessions: 0,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-12-10T12:00:00Z";

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    /// Days of the month, each with its bytes.
    fn days(bytes: Bytes, from: &str, until: &str) -> Vec<(String, Bytes)> {
        let parts = spread(bytes, time(from), time(until), time(NOW)).into_iter();
        parts
            .map(|(day, part)| (day.format("%m-%d").to_string(), part))
            .collect()
    }

    #[test]
    fn bytes_count_on_the_days_over_which_they_came() {
        let of = |day: &str, bytes_in, bytes_out| (day.to_owned(), (bytes_in, bytes_out));
        for (bytes, from, until, expected) in [
            (
                (7, 9),
                "2026-12-09T10:00:00Z",
                "2026-12-09T10:05:00Z",
                vec![of("12-09", 7, 9)],
            ),
            (
                (50, 100),
                "2026-12-08T23:59:00Z",
                "2026-12-09T00:04:00Z",
                vec![of("12-08", 10, 20), of("12-09", 40, 80)],
            ),
            // What cannot be divided counts on the last day.
            (
                (10, 1),
                "2026-12-06T00:00:00Z",
                "2026-12-09T00:00:00Z",
                vec![of("12-06", 3, 0), of("12-07", 3, 0), of("12-08", 4, 1)],
            ),
            ((0, 0), "2026-12-06T00:00:00Z", "2026-12-09T00:00:00Z", vec![]),
            // All that came before the earliest day counts on that one.
            (
                (200, 0),
                "2026-11-20T12:00:00Z",
                "2026-12-10T12:00:00Z",
                vec![
                    of("12-02", 125, 0),
                    of("12-03", 10, 0),
                    of("12-04", 10, 0),
                    of("12-05", 10, 0),
                    of("12-06", 10, 0),
                    of("12-07", 10, 0),
                    of("12-08", 10, 0),
                    of("12-09", 10, 0),
                    of("12-10", 5, 0),
                ],
            ),
            // Clocks that lie: in the future, long ago, and set back.
            (
                (9, 9),
                "2026-12-09T12:00:00Z",
                "2036-12-10T12:00:00Z",
                vec![of("12-10", 9, 9)],
            ),
            (
                (9, 9),
                "1970-01-01T00:00:00Z",
                "1970-01-03T00:00:00Z",
                vec![of("12-02", 9, 9)],
            ),
            (
                (9, 9),
                "2026-12-09T12:00:00Z",
                "2026-12-07T12:00:00Z",
                vec![of("12-07", 9, 9)],
            ),
            (
                (9, 9),
                "2026-12-08T23:59:59.9999Z",
                "2026-12-09T00:00:00.0001Z",
                vec![of("12-09", 9, 9)],
            ),
        ] {
            assert_eq!(days(bytes, from, until), expected, "{from} {until}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole_however_much_that_is() {
        for bytes in [1, 2, 3, 1_000_003, i64::MAX - 1, i64::MAX] {
            let parts = days((bytes, bytes / 2), "2026-12-01T05:00:01.234Z", "2026-12-10T11:59:59.9Z");
            let sum = parts
                .iter()
                .fold((0, 0), |sum, (_, part)| (sum.0 + part.0, sum.1 + part.1));
            assert_eq!(sum, (bytes, bytes / 2));
            assert!(parts.iter().all(|(_, part)| part.0 >= 0 && part.1 >= 0), "{parts:?}");
        }
    }
}
