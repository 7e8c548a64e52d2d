//! How many devices the group of a user allows.

use sea_orm::{DatabaseTransaction, DbErr};
use vpnmanager_entities::{group, user};
use vpnmanager_nats::groups::GroupName;

/// The user has as many devices as the group allows, or more: those that are there stay when a limit is lowered or the user comes into the group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the group {group} allows {allowed} devices, and the user has {held}")]
pub struct BeyondGroup {
    /// The group.
    pub group: GroupName,
    /// The most devices of a member.
    pub allowed: usize,
    /// How many the user has.
    pub held: usize,
}

/// Why the user, whose row is locked, gets no further device beside those that are `held`; `None` if the group allows one. Whether any user may
/// have so many is another question ([`MOST_DEVICES`](vpnmanager_nats::device::MOST_DEVICES)).
pub(crate) async fn beyond_group(
    transaction: &DatabaseTransaction,
    user: &user::Model,
    held: usize,
) -> Result<Option<BeyondGroup>, DbErr> {
    let found = group::Entity::find_by_group_name(&user.group_name)
        .one(transaction)
        .await?;
    let allowed = found.and_then(|group| group.devices);
    let allowed = allowed.and_then(|allowed| usize::try_from(allowed).ok());
    Ok(allowed.filter(|allowed| held >= *allowed).map(|allowed| BeyondGroup {
        group: user.group_name.clone(),
        allowed,
        held,
    }))
}
