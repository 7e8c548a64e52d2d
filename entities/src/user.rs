//! `users`: who should have VPN access.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use vpnmanager_nats::{
    commands::Protocol,
    groups::GroupName,
    ids::{NodeId, UserKey},
    own_rules::OwnRules,
    username::Username,
};

use crate::group::{SessionExcess, TrafficPeriod};

/// One user. A removed user's row stays until the last node has acked the removal.
///
/// Serialized, it is what the audit trail keeps of a user: every column but those that are marked. Of these it has the own limits as one object.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Row id; grows in the order of creation.
    #[sea_orm(primary_key)]
    #[serde(skip)]
    pub id: i64,
    /// The key of the user on the bus, never reused.
    #[sea_orm(unique)]
    pub key: UserKey,
    /// The name, unique among users that are not removed.
    pub username: Username,
    /// When it was created.
    #[serde(skip)]
    pub created_at: DateTimeUtc,
    /// When access ends; `None`: never.
    pub expires_at: Option<DateTimeUtc>,
    /// Whether the user may have access; `false`: suspended.
    pub active: bool,
    /// The path of the profile of the device `default` on the home node.
    #[serde(skip)]
    pub ovpn_path: Option<String>,
    /// The port of the home node that clients connect to, of its first listener.
    #[serde(skip)]
    pub port: i32,
    /// The transport of the home node that clients use, of its first listener.
    #[serde(skip)]
    pub protocol: Protocol,
    /// When a session of the user was last seen alive.
    #[serde(skip)]
    pub last_access: Option<DateTimeUtc>,
    /// SHA-256 of the profile of the device `default`, lower-case hex.
    #[serde(skip)]
    pub checksum: Option<String>,
    /// Whether every placement has applied the wanted revision, and the profile of each device is recorded
    /// ([`profile_checksum`](crate::credential::Model::profile_checksum)).
    #[serde(skip)]
    pub synced: bool,
    /// The home node.
    pub server_id: NodeId,
    /// Who created it.
    #[serde(skip)]
    pub created_by: String,
    /// The group that it is in.
    #[serde(rename = "group")]
    pub group_name: GroupName,
    /// The revision of the user's desired state; grows by one with each change.
    pub revision: i64,
    /// The most devices of the user, 1 to 16; `None`: as its group says.
    #[serde(skip)]
    pub own_devices: Option<i16>,
    /// The most devices of the user that are connected at the same time, over the whole fleet, 1 to 16; `None`: as its group says.
    #[serde(skip)]
    pub own_sessions: Option<i16>,
    /// What happens beyond the number that holds for the user; `None`: as its group says.
    #[serde(skip)]
    pub own_session_excess: Option<SessionExcess>,
    /// The most bytes of the user in a period, in both directions together, at least 1; `None`: the quota of its group holds, if it has one.
    #[serde(skip)]
    pub own_traffic_bytes: Option<i64>,
    /// How long a period of that quota is; there exactly if the bytes are.
    #[serde(skip)]
    pub own_traffic_period: Option<TrafficPeriod>,
    /// The day on which a [`TrafficPeriod::Month`] of it begins, 1 to 28; there exactly if the bytes are.
    #[serde(skip)]
    pub own_traffic_reset_day: Option<i16>,
    /// What comes before the rules of its group; `None`: nothing, and never empty.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    #[serde(skip)]
    pub own_rules: Option<OwnRules>,
    /// The group in which nodes know the user, which follows from [`own_rules`](Self::own_rules) and [`group_name`](Self::group_name); there exactly
    /// if the own rules are. After an older replica has put the user into another group it is that of the group before, until housekeeping finds
    /// it.
    #[serde(rename = "node_group", skip_serializing_if = "Option::is_none")]
    pub own_group: Option<GroupName>,
    /// Since when the user has no access because it is over its quota; `None`: it is not.
    pub over_quota_since: Option<DateTimeUtc>,
    /// Bytes that an operator forgave: of the traffic of the days until [`forgiven_on`](Self::forgiven_on), so many do not count.
    pub traffic_forgiven: i64,
    /// The day (UTC) on which they were forgiven; `None`: nothing was.
    pub forgiven_on: Option<Date>,
    /// The first day of the period in which the trail says that most of the quota is used; `None`: in no period.
    #[serde(skip)]
    pub quota_warned_from: Option<Date>,
    /// When the user last got another revision because it was connected although it was over the quota; `None`: never.
    #[serde(skip)]
    pub refused_again_at: Option<DateTimeUtc>,
    /// The pool that the user stays in while its home is one that has left the fleet; `None`: that of its home.
    #[serde(skip)]
    pub former_pool: Option<String>,
    /// When it was removed; `None` while the user exists.
    #[serde(skip)]
    pub removed_at: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The users that are not removed.
    pub fn find_living() -> Select<Self> {
        Self::find().filter(COLUMN.removed_at.is_null())
    }

    /// The user of that name that is not removed.
    pub fn find_living_by_username(username: &Username) -> Select<Self> {
        Self::find_living().filter(COLUMN.username.eq(username.as_str()))
    }
}
