//! What changes of sessions add to the traffic of a day.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use vpnmanager_entities::{session, traffic_day};
use vpnmanager_nats::ids::NodeId;

use super::session_history::Change;

/// A day of a user on a node.
type Key = (NaiveDate, i64, NodeId);

/// What is to be added, in the order of days, users and nodes. Bytes count on the day (UTC) when the node saw them, a session on the day
/// when it began, and neither after `now`. A session of a user who was gone counts for nobody.
pub fn additions(changes: &[Change], now: DateTime<Utc>) -> Vec<traffic_day::Model> {
    let mut days = BTreeMap::new();
    for change in changes {
        if change.bytes_in > 0 || change.bytes_out > 0 {
            add(&mut days, &change.row, change.row.seen_at.min(now), |day| {
                day.bytes_in = day.bytes_in.saturating_add(change.bytes_in);
                day.bytes_out = day.bytes_out.saturating_add(change.bytes_out);
            });
        }
        if change.began {
            add(&mut days, &change.row, change.row.since.min(now), |day| {
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
