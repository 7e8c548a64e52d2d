//! Writes the own values of a user into its row.

use sea_orm::ActiveValue::Set;
use vpnmanager_entities::user;

use crate::domain::{own_limits::OwnLimits, own_rules::OwnGroup};

/// The user has these own values from now on, and no others.
pub(super) fn set_own_limits(row: &mut user::ActiveModel, limits: OwnLimits) {
    let OwnLimits {
        devices,
        sessions,
        session_excess,
        quota,
    } = limits;
    row.own_devices = Set(devices);
    row.own_sessions = Set(sessions);
    row.own_session_excess = Set(session_excess);
    row.own_traffic_bytes = Set(quota.map(|quota| quota.bytes));
    row.own_traffic_period = Set(quota.map(|quota| quota.period));
    row.own_traffic_reset_day = Set(quota.map(|quota| quota.reset_day));
}

/// The user has the own rules of this group from now on, and no others.
pub(super) fn set_own_group(row: &mut user::ActiveModel, own_group: Option<OwnGroup>) {
    let (name, rules) = own_group.map(|group| (group.name, group.rules)).unzip();
    row.own_group = Set(name);
    row.own_rules = Set(rules);
}
