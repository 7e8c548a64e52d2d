//! Reads what management holds a user to.

use sea_orm::{ConnectionTrait, DbErr};
use vpnmanager_entities::{group, user};

use crate::domain::own_limits::{EffectiveLimits, OwnLimits};

/// What holds for the user: its own values, and those of its group where it has none. `None`: its group is not there, which only a person can bring about.
pub async fn effective_limits(db: &impl ConnectionTrait, user: &user::Model) -> Result<Option<EffectiveLimits>, DbErr> {
    let group = group::Entity::find_by_group_name(&user.group_name).one(db).await?;
    Ok(group.map(|group| OwnLimits::of(user).within(&group)))
}
