//! Holds the groups that users are put into, so that nobody deletes them meanwhile.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType,
};
use vpnmanager_entities::{group, own_group};
use vpnmanager_nats::groups::GroupName;

/// Reads those of these groups that there are, and keeps them from being deleted until the transaction ends. Others may change them.
pub(in crate::ops) async fn hold_groups(
    transaction: &DatabaseTransaction,
    names: BTreeSet<GroupName>,
) -> Result<HashMap<GroupName, group::Model>, DbErr> {
    let held = group::Entity::find()
        .filter(group::Column::Name.is_in(names))
        .order_by_asc(group::Column::Name)
        .lock(LockType::KeyShare)
        .all(transaction)
        .await?;
    Ok(held.into_iter().map(|group| (group.name.clone(), group)).collect())
}

/// The same of groups for own rules: which of these there are.
pub(in crate::ops) async fn hold_own_groups(
    transaction: &DatabaseTransaction,
    names: BTreeSet<GroupName>,
) -> Result<HashSet<GroupName>, DbErr> {
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let held = own_group::Entity::find()
        .filter(own_group::Column::Name.is_in(names))
        .order_by_asc(own_group::Column::Name)
        .lock(LockType::KeyShare)
        .all(transaction)
        .await?;
    Ok(held.into_iter().map(|group| group.name).collect())
}
