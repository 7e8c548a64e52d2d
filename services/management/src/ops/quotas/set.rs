//! Writes the quota of a group into its row.

use sea_orm::ActiveValue::Set;
use vpnmanager_entities::group;

use crate::domain::quota::Quota;

/// The group has this quota from now on, or none. Nodes must hear of it where that changes whether there is one
/// ([`metered`](vpnmanager_nats::groups::Group::metered)).
pub fn set_quota(row: &mut group::ActiveModel, quota: Option<Quota>) {
    row.traffic_bytes = Set(quota.map(|quota| quota.bytes));
    if let Some(quota) = quota {
        row.traffic_period = Set(quota.period);
        row.traffic_reset_day = Set(quota.reset_day);
    }
}
