//! Reads what a user is held to.

use sea_orm::{ConnectionTrait, DbErr};
use vpnmanager_entities::{group, user};

use crate::domain::{
    own_limits::{EffectiveLimits, OwnLimits},
    own_rules::{EffectiveRules, own_rules_of, rules_within},
};

/// What holds for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// By management.
    pub limits: EffectiveLimits,
    /// On nodes.
    pub rules: EffectiveRules,
}

/// What holds for the user: its own values, and those of its group where it has none. `None`: its group is not there, which only a person can bring about.
pub async fn effective_limits(db: &impl ConnectionTrait, user: &user::Model) -> Result<Option<Effective>, DbErr> {
    let group = group::Entity::find_by_group_name(&user.group_name).one(db).await?;
    Ok(group.map(|group| Effective {
        limits: OwnLimits::of(user).within(&group),
        rules: rules_within(own_rules_of(user), &group),
    }))
}
