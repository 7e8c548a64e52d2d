//! `GET /api/groups/{group}/traffic`.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::Example;
use tokio::sync::Semaphore;
use vpnmanager_nats::groups::GroupName;
use vpnmanager_openapi::problem::ApiError;

use crate::api::failure::{
    self,
    groups::{others_ask_for_traffic, too_many_days, unknown_group},
};
use crate::api::scalars::DayText;
use crate::api::sessions::days_of;
use crate::app::App;
use crate::ops::sessions::read_group_traffic::{DayOfServer, read_group_traffic};

/// The most days of one answer: a quarter. A group may have 100,000 members, each with a row for each day and server.
const MOST_DAYS: i64 = 92;

/// Whose turn it is: one such question is answered at a time, of this process.
pub(super) struct Turn(Semaphore);

impl Default for Turn {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

/// The traffic of the members of a group on one day.
#[derive(Debug, Clone, Object)]
struct GroupTrafficDay {
    /// The day, in UTC.
    day: DayText,
    /// Bytes that servers received from clients, as they were reported for that day.
    bytes_in: u64,
    /// Bytes that servers sent to clients.
    bytes_out: u64,
    /// Sessions that began that day.
    sessions: u64,
    /// The same on each server, in the order of their names. A server without sessions is left out.
    servers: Vec<ServerTraffic>,
}

/// The traffic of a day on one server.
#[derive(Debug, Clone, Object)]
struct ServerTraffic {
    /// The server.
    server_id: String,
    /// Bytes that it received from clients.
    bytes_in: u64,
    /// Bytes that it sent to clients.
    bytes_out: u64,
    /// Sessions that began there.
    sessions: u64,
}

/// The days with sessions of members of a group.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct GroupTraffic {
    /// The newest day first. A day without sessions is left out.
    items: Vec<GroupTrafficDay>,
}

/// The traffic of those who are members now, also from before they were. `from` is 29 days before `until` when it is absent, and that is today.
/// 404: there is no such group. 409: more than [`MOST_DAYS`]. 429: it is somebody else's turn.
pub(super) async fn group_traffic(
    app: &App,
    turn: &Turn,
    group: &GroupName,
    from: Option<DayText>,
    until: Option<DayText>,
) -> Result<GroupTraffic, ApiError> {
    let (first, last) = days_of(from, until);
    if (last - first).num_days() >= MOST_DAYS {
        return Err(too_many_days(MOST_DAYS));
    }
    let _turn = turn.0.try_acquire().map_err(|_taken| others_ask_for_traffic())?;
    let days = read_group_traffic(&app.db, group, (first, last)).await;
    let days = days.map_err(|error| failure::database(app, error))?;
    days.map(GroupTraffic::of).ok_or_else(unknown_group)
}

impl GroupTraffic {
    /// Of rows that are sorted by day.
    fn of(rows: Vec<DayOfServer>) -> Self {
        let mut items: Vec<GroupTrafficDay> = Vec::new();
        for row in rows {
            match items.last_mut() {
                Some(day) if day.day.0 == row.day => day.add(row),
                Some(_) | None => {
                    let mut day = GroupTrafficDay::none(DayText(row.day));
                    day.add(row);
                    items.push(day);
                }
            }
        }
        Self { items }
    }
}

impl GroupTrafficDay {
    fn none(day: DayText) -> Self {
        Self {
            day,
            bytes_in: 0,
            bytes_out: 0,
            sessions: 0,
            servers: Vec::new(),
        }
    }

    fn add(&mut self, row: DayOfServer) {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let server = ServerTraffic {
            server_id: row.server_id.to_string(),
            bytes_in: count(row.bytes_in),
            bytes_out: count(row.bytes_out),
            sessions: count(row.sessions),
        };
        self.bytes_in = self.bytes_in.saturating_add(server.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(server.bytes_out);
        self.sessions = self.sessions.saturating_add(server.sessions);
        self.servers.push(server);
    }
}

impl Example for GroupTraffic {
    fn example() -> Self {
        let day = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        Self {
            items: vec![GroupTrafficDay {
                day: DayText(day.date_naive()),
                bytes_in: 5_000_000,
                bytes_out: 70_000_000,
                sessions: 3,
                servers: vec![ServerTraffic {
                    server_id: "endnode-1".to_owned(),
                    bytes_in: 5_000_000,
                    bytes_out: 70_000_000,
                    sessions: 3,
                }],
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_a_day_are_added_up() {
        let row = |day: &str, server: &str, bytes| DayOfServer {
            day: day.parse().expect(day),
            server_id: server.parse().expect(server),
            bytes_in: bytes,
            bytes_out: 2 * bytes,
            sessions: 1,
        };
        let traffic = GroupTraffic::of(vec![
            row("2026-12-02", "node-1", 10),
            row("2026-12-02", "node-2", 5),
            row("2026-12-01", "node-1", 1),
        ]);
        let days: Vec<_> = traffic
            .items
            .iter()
            .map(|day| {
                let servers: Vec<&str> = day.servers.iter().map(|server| server.server_id.as_str()).collect();
                (
                    day.day.0.to_string(),
                    day.bytes_in,
                    day.bytes_out,
                    day.sessions,
                    servers,
                )
            })
            .collect();
        assert_eq!(
            days,
            [
                ("2026-12-02".to_owned(), 15, 30, 2, vec!["node-1", "node-2"]),
                ("2026-12-01".to_owned(), 1, 2, 1, vec!["node-1"]),
            ]
        );
    }
}
