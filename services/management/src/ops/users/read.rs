//! Reads users with their placements.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::{placement, user};
use vpnmanager_nats::{ids::NodeId, username::Username};

/// A user and its placements.
#[derive(Debug, Clone)]
pub struct UserView {
    /// The user.
    pub user: user::Model,
    /// The placements, home first.
    pub placements: Vec<placement::Model>,
}

/// Which users to list; a user must match all fields that are set.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Users whose home is this node.
    pub server_id: Option<NodeId>,
    /// `true`: users with access; `false`: suspended users.
    pub active: Option<bool>,
    /// `true`: users whose nodes have all applied the newest revision.
    pub synced: Option<bool>,
    /// The beginning of the username.
    pub username_prefix: Option<String>,
}

/// Reads the living user with this name.
pub async fn get_user(db: &DatabaseConnection, username: &Username) -> Result<Option<UserView>, DbErr> {
    match user::Entity::find_living_by_username(username).one(db).await? {
        Some(user) => view(db, user).await.map(Some),
        None => Ok(None),
    }
}

/// Reads at most `limit` living users in the order of their creation, starting after the row with the id `after`.
pub async fn list_users(
    db: &DatabaseConnection,
    filter: &UserFilter,
    after: Option<i64>,
    limit: u64,
) -> Result<Vec<UserView>, DbErr> {
    let mut query = user::Entity::find_living().order_by_asc(user::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(user::COLUMN.id.gt(after));
    }
    if let Some(server_id) = &filter.server_id {
        query = query.filter(user::Column::ServerId.eq(server_id.clone()));
    }
    if let Some(active) = filter.active {
        query = query.filter(user::COLUMN.active.eq(active));
    }
    if let Some(synced) = filter.synced {
        query = query.filter(user::COLUMN.synced.eq(synced));
    }
    if let Some(prefix) = &filter.username_prefix {
        // Usernames are ASCII and compared bytewise (COLLATE "C"); DEL is greater than all their characters.
        query = query.filter(Expr::col(user::Column::Username).gte(prefix.as_str()));
        query = query.filter(Expr::col(user::Column::Username).lt(format!("{prefix}\u{7f}")));
    }
    let users = query.all(db).await?;
    with_placements(db, users).await
}

/// Reads the placements of one user.
pub async fn view(db: &impl ConnectionTrait, user: user::Model) -> Result<UserView, DbErr> {
    let placements = placement::Entity::find_of([user.id]).all(db).await?;
    Ok(UserView { user, placements })
}

/// Reads the placements of several users with one query.
pub async fn with_placements(db: &impl ConnectionTrait, users: Vec<user::Model>) -> Result<Vec<UserView>, DbErr> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_user: HashMap<i64, Vec<placement::Model>> = HashMap::new();
    for placement in placement::Entity::find_of(users.iter().map(|user| user.id))
        .all(db)
        .await?
    {
        by_user.entry(placement.user_id).or_default().push(placement);
    }
    let views = users.into_iter().map(|user| {
        let placements = by_user.remove(&user.id).unwrap_or_default();
        UserView { user, placements }
    });
    Ok(views.collect())
}
