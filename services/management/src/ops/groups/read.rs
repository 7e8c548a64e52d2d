//! Reads groups, with how many users they have, and how many nodes hold members to them.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use vpnmanager_entities::group;
use vpnmanager_nats::groups::GroupName;

use crate::domain::scope::Scope;

/// A group, and what has become of it.
#[derive(Debug, Clone)]
pub struct GroupView {
    /// The group.
    pub group: group::Model,
    /// Its living users.
    pub users: i64,
    /// The nodes that hold its members to its rules.
    pub nodes: Told,
}

/// How many nodes hold members to the newest rules of all groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct Told {
    /// All nodes of the fleet.
    pub fleet: i64,
    /// Those that have applied the newest rules, as their last heartbeats say.
    pub applied: i64,
}

/// Reads one group.
pub async fn get_group(db: &impl ConnectionTrait, name: &GroupName) -> Result<Option<GroupView>, DbErr> {
    match group::Entity::find_by_group_name(name).one(db).await? {
        Some(group) => view(db, group).await.map(Some),
        None => Ok(None),
    }
}

/// Reads at most `limit` groups of the scope in the order of their names, starting after this name.
pub async fn list_groups(
    db: &impl ConnectionTrait,
    scope: &Scope,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<GroupView>, DbErr> {
    let mut query = group::Entity::find().order_by_asc(group::Column::Name).limit(limit);
    if let Some(groups) = &scope.groups {
        query = query.filter(group::Column::Name.is_in(groups.clone()));
    }
    if let Some(after) = after {
        query = query.filter(group::Column::Name.gt(after));
    }
    views(db, query.all(db).await?).await
}

/// Adds what has become of it to a group that was read.
pub async fn view(db: &impl ConnectionTrait, group: group::Model) -> Result<GroupView, DbErr> {
    let mut users = count_users(db, std::slice::from_ref(&group.name)).await?;
    Ok(GroupView {
        users: users.remove(&group.name).unwrap_or_default(),
        nodes: count_nodes(db).await?,
        group,
    })
}

async fn views(db: &impl ConnectionTrait, groups: Vec<group::Model>) -> Result<Vec<GroupView>, DbErr> {
    let names: Vec<GroupName> = groups.iter().map(|group| group.name.clone()).collect();
    let mut users = count_users(db, &names).await?;
    let nodes = count_nodes(db).await?;
    let views = groups.into_iter().map(|group| GroupView {
        users: users.remove(&group.name).unwrap_or_default(),
        nodes,
        group,
    });
    Ok(views.collect())
}

#[derive(FromQueryResult)]
struct Counted {
    name: GroupName,
    users: i64,
}

/// Counts the living users of groups. Those of `default` are most of all, and the index leaves them out.
pub(super) async fn count_users(
    db: &impl ConnectionTrait,
    groups: &[GroupName],
) -> Result<HashMap<GroupName, i64>, DbErr> {
    let names: Vec<String> = groups.iter().map(ToString::to_string).collect();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT g.name, CASE WHEN g.name = $2
             THEN (SELECT count(*) FROM users u WHERE u.removed_at IS NULL AND u.group_name = 'default')
             ELSE (SELECT count(*) FROM users u
                   WHERE u.removed_at IS NULL AND u.group_name <> 'default' AND u.group_name = g.name)
             END AS users
         FROM UNNEST($1::text[]) AS g (name)",
        [names.into(), GroupName::DEFAULT.into()],
    );
    let counted = Counted::find_by_statement(statement).all(db).await?;
    Ok(counted
        .into_iter()
        .map(|Counted { name, users }| (name, users))
        .collect())
}

/// Counts the nodes that are not deregistered.
async fn count_nodes(db: &impl ConnectionTrait) -> Result<Told, DbErr> {
    let statement = Statement::from_string(
        db.get_database_backend(),
        "SELECT count(*) AS fleet, count(*) FILTER (WHERE h.groups_revision = t.revision) AS applied
         FROM groups_told t CROSS JOIN servers s LEFT JOIN health_status h ON h.server_id = s.name
         WHERE s.leaving_since IS NULL OR s.leaving_for IS NOT NULL",
    );
    let told = Told::find_by_statement(statement).one(db).await?;
    Ok(told.unwrap_or_default())
}
