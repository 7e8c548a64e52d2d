//! `groups`: what users may reach through the tunnel, and how much of it.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{
    groups::{GroupName, GroupRules},
    ids::NodeId,
};

/// One group.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "groups")]
pub struct Model {
    /// Row id.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Its name.
    #[sea_orm(unique)]
    pub name: GroupName,
    /// Counts the changes.
    pub revision: i64,
    /// The pool that new members are placed in; `None`: `default`, or that of the server that is asked for.
    pub pool: Option<NodeId>,
    /// What every node holds its members to.
    #[sea_orm(column_type = "JsonBinary")]
    pub rules: GroupRules,
    /// The most devices of a member, 1 to 16; `None`: 16.
    pub devices: Option<i16>,
    /// The most devices of a member that are connected at the same time, over the whole fleet, 1 to 16; `None`: any number.
    pub sessions: Option<i16>,
    /// What happens beyond that.
    pub session_excess: SessionExcess,
    /// How long new members have access, in seconds, at least 60; `None`: without end.
    pub lifetime: Option<i64>,
    /// The most bytes of a member in a period, in both directions together, at least 1; `None`: any number.
    pub traffic_bytes: Option<i64>,
    /// How long a period is.
    pub traffic_period: TrafficPeriod,
    /// The day on which a [`TrafficPeriod::Month`] begins, 1 to 28.
    pub traffic_reset_day: i16,
    /// The row id of the last member of whom what is kept fits the quota that was changed last, 0 for none yet; `None`: that of all does.
    pub quota_settled_upto: Option<i64>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was changed last.
    pub changed_at: DateTimeUtc,
}

/// What happens when a member connects with more devices than the group allows at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum SessionExcess {
    /// The device that has been connected for longest is disconnected.
    #[default]
    OldestEnds,
    /// The one that came last is.
    NewestEnds,
}

/// How long a quota is for. Each period begins at midnight, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TrafficPeriod {
    /// A day.
    #[sea_orm(string_value = "day")]
    Day,
    /// A week, from Monday on.
    #[sea_orm(string_value = "week")]
    Week,
    /// A month, from a day of the month on.
    #[default]
    #[sea_orm(string_value = "month")]
    Month,
    /// It is for ever.
    #[sea_orm(string_value = "none")]
    Endless,
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The group of that name.
    pub fn find_by_group_name(name: &GroupName) -> Select<Self> {
        Self::find().filter(COLUMN.name.eq(name.clone()))
    }
}
