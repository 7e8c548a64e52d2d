//! Traffic of each day, of a user and of an end-node.

use chrono::{DateTime, Days, NaiveDate, Utc};
use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use vpnmanager_openapi::problem::ApiError;

use super::discard::{DiscardedTraffic, TrafficDiscard, discard_traffic};
use crate::api::access::{Admin, Viewer, WholeViewer};
use crate::api::failure;
use crate::api::scalars::{DayText, ServerIdText, UsernameText};
use crate::api::tags::Tag;
use crate::app::App;
use crate::ops::nodes::read::get_node;
use crate::ops::sessions::read_traffic::{DayTraffic, TrafficOf, read_traffic};
use crate::ops::users::read::get_user;

/// Days that are listed when `from` is not given, the last one included.
const DAYS: u64 = 30;

/// The traffic of one day.
#[derive(Debug, Clone, Object)]
struct TrafficDay {
    /// The day, in UTC.
    day: DayText,
    /// Bytes that servers received from clients, as they were reported for that day. Of each user on each server a petabyte at most counts, here
    /// and in the other direction.
    bytes_in: u64,
    /// Bytes that servers sent to clients.
    bytes_out: u64,
    /// Sessions that began that day. One that began more than 8 days before it was first reported counts 8 days before that report.
    sessions: u64,
}

/// The days with sessions.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Traffic {
    /// The newest day first. A day without sessions is left out.
    items: Vec<TrafficDay>,
}

pub(in crate::api) struct TrafficApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Sessions")]
impl TrafficApi {
    /// Show the traffic of a user
    ///
    /// On all servers, day by day. Servers report the bytes of a session every five minutes and at its end, and more often where they count
    /// against a quota; what is new in a report is spread evenly over the time since the one before, or since the start of the session. So after
    /// an outage of days each of these days has its part of what a session transferred meanwhile, at most 8 days back. A user who was created
    /// again under the name of a removed one begins with nothing.
    #[oai(path = "/users/:username/traffic", method = "get", operation_id = "get_user_traffic")]
    async fn of_user(
        &self,
        _viewer: Viewer,
        app: Data<&App>,
        /// The user's name.
        username: Path<UsernameText>,
        /// The first day; 29 days before the last one when absent.
        from: Query<Option<DayText>>,
        /// The last day; today when absent.
        until: Query<Option<DayText>>,
    ) -> Result<Json<Traffic>, ApiError> {
        let found = get_user(&app.db, &username.0.0).await;
        let view = found
            .map_err(|error| failure::database(&app, error))?
            .ok_or_else(failure::users::unknown_user)?;
        traffic(app.0, &TrafficOf::User(view.user.id), from.0, until.0).await
    }

    /// Show the traffic of an end-node
    ///
    /// Of all its users, day by day, as for one user.
    #[oai(
        path = "/endnodes/:server_id/traffic",
        method = "get",
        operation_id = "get_endnode_traffic"
    )]
    async fn of_endnode(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        /// The first day; 29 days before the last one when absent.
        from: Query<Option<DayText>>,
        /// The last day; today when absent.
        until: Query<Option<DayText>>,
    ) -> Result<Json<Traffic>, ApiError> {
        let found = get_node(app.0, &server_id.0.0).await;
        found
            .map_err(|error| failure::database(&app, error))?
            .ok_or_else(failure::nodes::unknown_server)?;
        traffic(app.0, &TrafficOf::Node(server_id.0.0), from.0, until.0).await
    }

    /// Discard the traffic of an end-node
    ///
    /// For a server that claimed what nobody transferred, because it was stolen or is broken: what it reported of its users for that day and later
    /// ones is forgotten, here and in `traffic` of users and groups, and does not count against any quota. A report may be about a day up to
    /// 8 days before it. Users who are not over their quota any more have access again within seconds. The history of sessions stays.
    ///
    /// Deregister the server first, or it reports more; the operation works for a server that has left too. Repeating it changes nothing. 404
    /// where there is no such server, and none that left has reported anything.
    #[oai(
        path = "/endnodes/:server_id/traffic/discard",
        method = "post",
        operation_id = "discard_endnode_traffic"
    )]
    async fn discard(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The server's id.
        server_id: Path<ServerIdText>,
        body: Json<TrafficDiscard>,
    ) -> Result<Json<DiscardedTraffic>, ApiError> {
        discard_traffic(app.0, &admin, &server_id.0.0, body.0).await.map(Json)
    }
}

async fn traffic(
    app: &App,
    of: &TrafficOf,
    from: Option<DayText>,
    until: Option<DayText>,
) -> Result<Json<Traffic>, ApiError> {
    let (first, last) = days_of(from, until);
    let days = read_traffic(&app.db, of, first, last).await;
    let days = days.map_err(|error| failure::database(app, error))?;
    Ok(Json(Traffic {
        items: days.into_iter().map(TrafficDay::of).collect(),
    }))
}

/// The first and the last day of what is asked for.
pub(in crate::api) fn days_of(from: Option<DayText>, until: Option<DayText>) -> (NaiveDate, NaiveDate) {
    let last = until.map_or_else(|| Utc::now().date_naive(), |day| day.0);
    let first = from.map_or_else(|| days_before(last), |day| day.0);
    (first, last)
}

fn days_before(last: NaiveDate) -> NaiveDate {
    last.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(last)
}

impl TrafficDay {
    fn of(row: DayTraffic) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            day: DayText(row.day),
            bytes_in: count(row.bytes_in),
            bytes_out: count(row.bytes_out),
            sessions: count(row.sessions),
        }
    }
}

impl Example for Traffic {
    fn example() -> Self {
        let day = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        Self {
            items: vec![TrafficDay {
                day: DayText(day.date_naive()),
                bytes_in: 5_000_000,
                bytes_out: 70_000_000,
                sessions: 3,
            }],
        }
    }
}
