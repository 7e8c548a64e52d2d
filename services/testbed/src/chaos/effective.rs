//! Checks what the API says holds for each user: its own limits, and those of its group where it has none.

use std::collections::BTreeMap;

use sea_orm::{DatabaseConnection, FromQueryResult};

use super::{
    inventory,
    listed::Listed,
    own_limits::{OfGroup, OwnLimits},
};

/// What a group says, as it is stored.
#[derive(Debug, Clone, FromQueryResult)]
pub(super) struct Limiting {
    pub(super) name: String,
    pub(super) devices: Option<i16>,
    pub(super) sessions: Option<i16>,
}

/// All groups.
pub(super) async fn groups(db: &DatabaseConnection) -> anyhow::Result<Vec<Limiting>> {
    inventory::rows(db, "SELECT name, devices, sessions FROM groups").await
}

/// Users for whom something else holds than should: one sentence for each limit.
pub(super) fn misjudged(listed: &BTreeMap<String, Listed>, groups: &[Limiting]) -> Vec<String> {
    let mut told = Vec::new();
    for (username, Listed { user, effective, .. }) in listed {
        // That a user is listed without what a user has is told elsewhere.
        let Some(own) = OwnLimits::shown(&user["limits"]) else {
            continue;
        };
        let of_group = groups.iter().find(|group| user["group"] == group.name.as_str());
        let of_group = of_group.map(|group| OfGroup {
            devices: group.devices,
            sessions: group.sessions,
        });
        for (name, should) in own.within(of_group.unwrap_or_default()) {
            let is = &effective[name];
            if *is != should {
                told.push(format!(
                    "the limit {name} of {username} is {is}, and should be {should} with {own:?} and {of_group:?}"
                ));
            }
        }
    }
    told
}
