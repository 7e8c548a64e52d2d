//! Users as CSV (RFC 4180): what the API and the command `export` write, and `POST /api/users.csv` reads.

use std::io;

use chrono::{DateTime, Utc};
use csv::{Terminator, WriterBuilder};
use sea_orm::ActiveEnum as _;
use vpnmanager_entities::{group::TrafficPeriod, user};
use vpnmanager_nats::groups::Speed;
use vpnmanager_openapi::time::Timestamp;
use vpnmanager_runtime::spreadsheet::harmless;

use crate::domain::{own_limits::OwnLimits, own_rules::own_rules_of};

/// The columns, as the rows have them, with the end of the line.
pub const HEADER: &str = "username,active,expires_at,server_id,group,limits.devices,limits.sessions,limits.session_excess,limits.traffic.bytes,\
    limits.traffic.period,limits.traffic.reset_day,limits.speed.up,limits.speed.down,limits.reach_and_routes,synced,created_at,\
    checksum,over_quota\r\n";
/// What files say of a user who has own reach or routes, in the place of these.
pub const OWN: &str = "own";
/// Access that does not end by itself. An empty cell would leave it to the group where the file is imported.
const NEVER: &str = "never";

/// The rows of these users, without the header.
pub fn rows_of<'u>(users: impl IntoIterator<Item = &'u user::Model>) -> io::Result<Vec<u8>> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    for user in users {
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
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
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

#[cfg(test)]
mod tests {
    use vpnmanager_nats::groups::GroupName;
    use vpnmanager_nats::ids::NodeId;
    use vpnmanager_nats::username::Username;

    use super::*;

    #[test]
    fn no_name_of_a_user_a_server_or_a_group_needs_a_guard() {
        for begin in ["=", "+", "-", "@", "\t", "\r"] {
            let cell = format!("{begin}1");
            assert_ne!(harmless(&cell), cell);
            let is_name = cell.parse::<Username>().is_ok() || cell.parse::<NodeId>().is_ok();
            assert!(!is_name && cell.parse::<GroupName>().is_err(), "{cell:?}");
        }
    }
}
