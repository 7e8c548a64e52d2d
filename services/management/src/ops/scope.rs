//! What a narrowed caller sees and may change, asked of the database. Queries that list users and their sessions have the same condition in them.

use sea_orm::{ConnectionTrait, DbErr, QueryFilter, Select, Value, sea_query::Expr};
use vpnmanager_entities::{group, server, user};
use vpnmanager_nats::{
    groups::GroupName,
    ids::{DEFAULT_POOL, NodeId},
    username::Username,
};

use crate::domain::{placement::Home, scope::Scope};

/// Why a narrowed caller may not put a user there.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BeyondScope {
    /// Its key is not for this group.
    #[error("this key is narrowed to other groups than {0}")]
    Group(GroupName),
    /// Its key is not for this pool.
    #[error("this key is narrowed to other pools than {0}")]
    Pool(String),
}

/// The condition, in SQL, that the row `user` of `users` is in a scope. `groups` and `pools` are the parameters with its
/// [`groups_of`] and [`pools_of`]. The nodes of the pools are read once for all users: a list may look at a million of them for one page.
pub(in crate::ops) fn is_within(user: &str, groups: &str, pools: &str) -> String {
    format!(
        "({groups}::text[] IS NULL OR {user}.group_name = ANY({groups}))
         AND ({pools}::text[] IS NULL OR {user}.former_pool = ANY({pools})
              OR ({user}.former_pool IS NULL
                  AND {user}.server_id IN (SELECT home.name FROM servers home WHERE home.pool = ANY({pools}))))"
    )
}

/// The value of the parameter `groups` of [`is_within`].
pub(in crate::ops) fn groups_of(scope: &Scope) -> Value {
    scope.groups.clone().into()
}

/// The value of the parameter `pools` of [`is_within`].
pub(in crate::ops) fn pools_of(scope: &Scope) -> Value {
    scope.pools.clone().into()
}

/// Leaves the users that are in the scope.
pub(in crate::ops) fn narrow(users: Select<user::Entity>, scope: &Scope) -> Select<user::Entity> {
    if scope.is_whole() {
        return users;
    }
    let condition = is_within("users", "$1", "$2");
    users.filter(Expr::cust_with_values(condition, [groups_of(scope), pools_of(scope)]))
}

/// Whether the caller sees a living user of this name. Who is moved out of the scope at this very moment may still be seen.
pub async fn sees_user(db: &impl ConnectionTrait, scope: &Scope, username: &Username) -> Result<bool, DbErr> {
    if scope.is_whole() {
        return Ok(true);
    }
    let found = narrow(user::Entity::find_living_by_username(username), scope);
    Ok(found.one(db).await?.is_some())
}

/// Whether the caller sees this node.
pub async fn sees_node(db: &impl ConnectionTrait, scope: &Scope, node: &NodeId) -> Result<bool, DbErr> {
    if scope.pools.is_none() {
        return Ok(true);
    }
    let found = server::Entity::find_by_name(node.clone()).one(db).await?;
    Ok(found.is_some_and(|server| scope.has_pool(&server.pool)))
}

/// Why the caller may not create a user in this group with this home; `None`: it may, as far as its key says.
pub async fn beyond(
    db: &impl ConnectionTrait,
    scope: &Scope,
    group: &GroupName,
    home: &Home,
) -> Result<Option<BeyondScope>, DbErr> {
    if !scope.has_group(group.as_str()) {
        return Ok(Some(BeyondScope::Group(group.clone())));
    }
    if scope.pools.is_none() {
        return Ok(None);
    }
    let pool = match home {
        Home::Named(node) | Home::Asking(node) => {
            let server = server::Entity::find_by_name(node.clone()).one(db).await?;
            server.map(|server| server.pool)
        }
        Home::Any => {
            let group = group::Entity::find_by_group_name(group).one(db).await?;
            let pool = group.and_then(|group| group.pool);
            Some(pool.map_or_else(|| DEFAULT_POOL.to_owned(), |pool| pool.to_string()))
        }
    };
    // A node that there is not is refused as for everybody.
    Ok(pool.filter(|pool| !scope.has_pool(pool)).map(BeyondScope::Pool))
}
