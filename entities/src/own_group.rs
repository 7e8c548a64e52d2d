//! `own_groups`: the groups in which nodes know users who have own rules.

use sea_orm::entity::prelude::*;
use vpnmanager_nats::{groups::GroupName, own_rules::OwnRules};

/// One of them. All users of its group who have the same own rules are in it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "own_groups")]
pub struct Model {
    /// Its name, which follows from the other two.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: GroupName,
    /// The group that holds where there is no own value.
    pub group_name: GroupName,
    /// What comes before it.
    #[sea_orm(column_type = "JsonBinary")]
    pub rules: OwnRules,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// Since when housekeeping has found nobody in it; `None`: somebody was in it when it last looked, or it has not looked yet.
    pub unused_since: Option<DateTimeUtc>,
}

impl ActiveModelBehavior for ActiveModel {}
