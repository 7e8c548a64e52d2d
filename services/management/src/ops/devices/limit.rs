//! How many devices a user is allowed, by itself or by its group.

use sea_orm::{DatabaseTransaction, DbErr};
use vpnmanager_entities::{group, user};
use vpnmanager_nats::groups::GroupName;

/// The user has as many devices as are allowed, or more: those that are there stay when a limit is lowered or the user comes into the group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BeyondLimit {
    /// The user has a limit of its own.
    #[error("the user is allowed {allowed} devices by its own limit, and has {held}")]
    Own {
        /// The most devices of the user.
        allowed: usize,
        /// How many it has.
        held: usize,
    },
    /// That of the group holds.
    #[error("the group {group} allows {allowed} devices, and the user has {held}")]
    OfGroup {
        /// The group.
        group: GroupName,
        /// The most devices of a member.
        allowed: usize,
        /// How many the user has.
        held: usize,
    },
}

/// Why the user, whose row is locked, gets no further device beside those that are `held`; `None` if it may have one. Its own limit comes before that
/// of its group. Whether any user may have so many is another question ([`MOST_DEVICES`](vpnmanager_nats::device::MOST_DEVICES)).
pub(crate) async fn beyond_limit(
    transaction: &DatabaseTransaction,
    user: &user::Model,
    held: usize,
) -> Result<Option<BeyondLimit>, DbErr> {
    let is_reached = |allowed: &usize| held >= *allowed;
    if let Some(own) = user.own_devices {
        let allowed = usize::try_from(own).ok().filter(is_reached);
        return Ok(allowed.map(|allowed| BeyondLimit::Own { allowed, held }));
    }
    let found = group::Entity::find_by_group_name(&user.group_name)
        .one(transaction)
        .await?;
    let allowed = found.and_then(|group| group.devices);
    let allowed = allowed.and_then(|allowed| usize::try_from(allowed).ok());
    Ok(allowed.filter(is_reached).map(|allowed| BeyondLimit::OfGroup {
        group: user.group_name.clone(),
        allowed,
        held,
    }))
}
