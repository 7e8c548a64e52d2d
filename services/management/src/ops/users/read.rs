//! Reads users with their placements.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::{placement, server, user};
use vpnmanager_nats::{groups::GroupName, ids::NodeId, username::Username};

use crate::{domain::scope::Scope, ops::scope::narrow};

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
    /// Users of this group.
    pub group: Option<GroupName>,
    /// Users whom nodes know in this group because of own rules.
    pub node_group: Option<GroupName>,
    /// `true`: users with access; `false`: suspended users.
    pub active: Option<bool>,
    /// `true`: users who are over their quota.
    pub over_quota: Option<bool>,
    /// `true`: users whose nodes have all applied the newest revision.
    pub synced: Option<bool>,
    /// The beginning of the username.
    pub username_prefix: Option<String>,
    /// What the caller is narrowed to.
    pub scope: Scope,
}

/// Whether a user is synced while there are nodes that lost what they held.
const SYNCED_DESPITE_LOSS: &str = "(users.synced AND NOT EXISTS (
     SELECT FROM placements p JOIN servers s ON s.name = p.server_id WHERE p.user_id = users.id AND p.applied_at < s.emptied_at))";

async fn is_any_emptied(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let emptied = server::Entity::find().filter(server::Column::EmptiedAt.is_not_null());
    Ok(emptied.one(db).await?.is_some())
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
    let mut query = narrow(user::Entity::find_living(), &filter.scope)
        .order_by_asc(user::Column::Id)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(user::COLUMN.id.gt(after));
    }
    if let Some(server_id) = &filter.server_id {
        query = query.filter(user::Column::ServerId.eq(server_id.clone()));
    }
    if let Some(group) = &filter.group {
        query = query.filter(user::Column::GroupName.eq(group.clone()));
        if !group.is_default() {
            // The condition of the index.
            query = query.filter(user::Column::GroupName.ne(GroupName::DEFAULT));
        }
    }
    if let Some(node_group) = &filter.node_group {
        query = query.filter(user::Column::OwnGroup.eq(node_group.clone()));
    }
    if let Some(active) = filter.active {
        query = query.filter(user::COLUMN.active.eq(active));
    }
    if let Some(over_quota) = filter.over_quota {
        let since = user::Column::OverQuotaSince;
        query = query.filter(if over_quota {
            since.is_not_null()
        } else {
            since.is_null()
        });
    }
    if let Some(synced) = filter.synced {
        query = query.filter(if is_any_emptied(db).await? {
            Expr::cust(SYNCED_DESPITE_LOSS).eq(synced)
        } else {
            user::COLUMN.synced.eq(synced)
        });
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
    let placed = placed(db, [user.id]).await?;
    Ok(UserView::of(user, placed))
}

/// Reads the placements of several users with one query.
pub async fn with_placements(db: &impl ConnectionTrait, users: Vec<user::Model>) -> Result<Vec<UserView>, DbErr> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_user: HashMap<i64, Vec<Placed>> = HashMap::new();
    for placed in placed(db, users.iter().map(|user| user.id)).await? {
        by_user.entry(placed.placement.user_id).or_default().push(placed);
    }
    let views = users.into_iter().map(|user| {
        let placed = by_user.remove(&user.id).unwrap_or_default();
        UserView::of(user, placed)
    });
    Ok(views.collect())
}

/// A placement, and since when its node holds nothing of what it had applied before.
#[derive(FromQueryResult)]
struct Placed {
    #[sea_orm(nested)]
    placement: placement::Model,
    emptied_at: Option<DateTime<Utc>>,
}

async fn placed(db: &impl ConnectionTrait, users: impl IntoIterator<Item = i64>) -> Result<Vec<Placed>, DbErr> {
    let emptied_at = Expr::cust("(SELECT s.emptied_at FROM servers s WHERE s.name = placements.server_id)");
    placement::Entity::find_of(users)
        .column_as(emptied_at, "emptied_at")
        .into_model()
        .all(db)
        .await
}

impl UserView {
    /// What a node lost and has not applied again is not applied.
    fn of(mut user: user::Model, placed: Vec<Placed>) -> Self {
        let mut placements = Vec::with_capacity(placed.len());
        for Placed {
            mut placement,
            emptied_at,
        } in placed
        {
            if emptied_at.is_some_and(|emptied_at| placement.applied_at.is_some_and(|at| at < emptied_at)) {
                placement.applied_revision = 0;
                user.synced = false;
            }
            placements.push(placement);
        }
        Self { user, placements }
    }
}
