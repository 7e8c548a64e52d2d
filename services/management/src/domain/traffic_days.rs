//! What changes of sessions add to the traffic of a day.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use vpnmanager_entities::{session, traffic_day};
use vpnmanager_nats::ids::NodeId;

use super::session_history::{Change, last_alive};

/// Nothing counts on an earlier day: a clock may be far in the past. Reports wait on the bus for 7 days.
const MOST_BEHIND: TimeDelta = TimeDelta::days(8);

/// A day of a user on a node.
type Key = (NaiveDate, i64, NodeId);

/// What is to be added, in the order of days, users and nodes. What is new in a report counts on one day (UTC), that of the moment that the
/// report is about: when the node last saw the session alive. A session counts on the day when it began. Neither is after `now`, nor more
/// than 8 days before. A session of a user who was gone counts for nobody.
pub fn additions(changes: &[Change], now: DateTime<Utc>) -> Vec<traffic_day::Model> {
    let lately = |at: DateTime<Utc>| at.clamp(now - MOST_BEHIND, now);
    let mut days = BTreeMap::new();
    for change in changes {
        if change.bytes_in > 0 || change.bytes_out > 0 {
            add(&mut days, &change.row, lately(last_alive(&change.row)), |day| {
                day.bytes_in = day.bytes_in.saturating_add(change.bytes_in);
                day.bytes_out = day.bytes_out.saturating_add(change.bytes_out);
            });
        }
        if change.began {
            add(&mut days, &change.row, lately(change.row.since), |day| {
                day.sessions = day.sessions.saturating_add(1);
            });
        }
    }
    days.into_values().collect()
}

fn add(
    days: &mut BTreeMap<Key, traffic_day::Model>,
    row: &session::Model,
    at: DateTime<Utc>,
    more: impl FnOnce(&mut traffic_day::Model),
) {
    let (Some(user_id), Some(username)) = (row.user_id, &row.username) else {
        return;
    };
    let day = at.date_naive();
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
