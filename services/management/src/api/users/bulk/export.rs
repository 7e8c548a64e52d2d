//! `GET /api/users.csv`: written while it is read, page by page.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use csv::{Terminator, WriterBuilder};
use futures_util::{StreamExt as _, future, stream};
use poem::Body;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Binary;
use sea_orm::{ActiveEnum as _, DbErr};
use vpnmanager_entities::group::TrafficPeriod;
use vpnmanager_nats::groups::Speed;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_runtime::error_chain::chain;
use vpnmanager_runtime::log_limit::LogLimit;

use super::limits::OWN;
use crate::api::failure;
use crate::app::App;
use crate::domain::own_limits::OwnLimits;
use crate::domain::own_rules::own_rules_of;
use crate::ops::users::read::{UserFilter, UserView, list_users};

/// Users that are read at once; not more than two pages are in memory.
const PAGE: u64 = 1000;
/// The columns, as the rows have them.
const HEADER: &str = "username,active,expires_at,server_id,group,limits.devices,limits.sessions,limits.session_excess,limits.traffic.bytes,\
    limits.traffic.period,limits.traffic.reset_day,limits.speed.up,limits.speed.down,limits.reach_and_routes,synced,created_at,\
    checksum,over_quota\r\n";
/// Access that does not end by itself. An empty cell would leave it to the group where the file is imported.
const NEVER: &str = "never";
/// What the browser stores it as.
const DISPOSITION: &str = "attachment; filename=\"users.csv\"";

static CUT_SHORT: LogLimit = LogLimit::new("an export of users was cut short");

#[derive(ApiResponse)]
pub(super) enum ExportedUsers {
    /// The users, with a header.
    #[oai(status = 200, content_type = "text/csv; charset=utf-8")]
    Csv(
        Binary<Body>,
        /// An attachment.
        #[oai(header = "Content-Disposition")]
        String,
    ),
}

/// What is still to be written.
struct Export {
    app: App,
    filter: UserFilter,
    /// The page that is written next; an empty one is the end.
    page: Vec<UserView>,
}

/// The answer begins when the first page is read, so that a database that is away is told as everywhere.
pub(super) async fn export_users(app: &App, filter: UserFilter) -> Result<ExportedUsers, ApiError> {
    let page = read(app, &filter, None).await;
    let page = page.map_err(|error| failure::database(app, error))?;
    let export = Export {
        app: app.clone(),
        filter,
        page,
    };
    let header: io::Result<Bytes> = Ok(Bytes::from_static(HEADER.as_bytes()));
    let header = stream::once(future::ready(header));
    let rows = stream::try_unfold(export, Export::write);
    let body = Body::from_bytes_stream(header.chain(rows));
    Ok(ExportedUsers::Csv(Binary(body), DISPOSITION.to_owned()))
}

async fn read(app: &App, filter: &UserFilter, after: Option<i64>) -> Result<Vec<UserView>, DbErr> {
    list_users(&app.db, filter, after, PAGE).await
}

impl Export {
    /// Writes a page and reads the next one. After an error the connection ends before the answer does, so that nobody takes it for the whole.
    async fn write(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(last) = self.page.last() else {
            return Ok(None);
        };
        let after = last.user.id;
        let text = text_of(&self.page)?;
        self.page = if (self.page.len() as u64) < PAGE {
            Vec::new()
        } else {
            let page = read(&self.app, &self.filter, Some(after)).await;
            page.map_err(cut_short)?
        };
        Ok(Some((text, self)))
    }
}

fn cut_short(error: DbErr) -> io::Error {
    if let Some(times) = CUT_SHORT.admit() {
        tracing::warn!(error = %chain(&error), times, "An export of users was cut short");
    }
    io::Error::other(error)
}

fn text_of(page: &[UserView]) -> io::Result<Bytes> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for UserView { user, .. } in page {
        let time = |time: DateTime<Utc>| Timestamp::from(time).to_string();
        let [devices, sessions, session_excess, bytes, period, reset_day] = own_limits(OwnLimits::of(user));
        let rules = own_rules_of(user);
        let speed = |speed: Option<Speed>| speed.map(|speed| speed.kilobits().to_string()).unwrap_or_default();
        let has_lists = rules.reach.is_some() || rules.routes.is_some();
        let cells = [
            user.username.to_string(),
            user.active.to_string(),
            user.expires_at.map_or_else(|| NEVER.to_owned(), time),
            user.server_id.to_string(),
            user.group_name.to_string(),
            devices,
            sessions,
            session_excess,
            bytes,
            period,
            reset_day,
            speed(rules.up),
            speed(rules.down),
            if has_lists { OWN.to_owned() } else { String::new() },
            user.synced.to_string(),
            time(user.created_at),
            user.checksum.clone().unwrap_or_default(),
            user.over_quota_since.is_some().to_string(),
        ];
        writer.write_record(cells.iter().map(|cell| harmless(cell).into_owned()))?;
    }
    let text = writer.into_inner().map_err(csv::IntoInnerError::into_error)?;
    Ok(text.into())
}

/// Own values alone: an empty cell leaves one to the group where the file is imported. Only a month has a day on which it begins.
fn own_limits(limits: OwnLimits) -> [String; 6] {
    let number = |number: Option<i16>| number.map(|number| number.to_string()).unwrap_or_default();
    let quota = limits.quota;
    let reset_day = quota.filter(|quota| quota.period == TrafficPeriod::Month);
    [
        number(limits.devices),
        number(limits.sessions),
        limits
            .session_excess
            .map(|excess| excess.to_value())
            .unwrap_or_default(),
        quota.map(|quota| quota.bytes.to_string()).unwrap_or_default(),
        quota.map(|quota| quota.period.to_value()).unwrap_or_default(),
        number(reset_day.map(|quota| quota.reset_day)),
    ]
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV Injection). No name of a user, a server or a group begins so, and nothing of what
/// they may begin with will.
fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::groups::GroupName;
    use vpnmanager_nats::ids::NodeId;
    use vpnmanager_nats::username::Username;

    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_no_name_needs_a_guard() {
        assert_eq!(harmless("alice"), "alice");
        for begin in ["=", "+", "-", "@", "\t", "\r"] {
            let cell = format!("{begin}1");
            assert_eq!(harmless(&cell), format!("'{cell}"));
            let is_name = cell.parse::<Username>().is_ok() || cell.parse::<NodeId>().is_ok();
            assert!(!is_name && cell.parse::<GroupName>().is_err(), "{cell:?}");
        }
    }
}
