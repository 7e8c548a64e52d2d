//! Placing users that stand on fewer nodes than they could: after a node joined, or left.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    FromQueryResult, QueryFilter, Statement, sea_query::Expr,
};
use serde_json::json;
use vpnmanager_entities::{
    credential,
    placement::{self, Role},
    server::{self, NodeState},
    user,
};
use vpnmanager_nats::{
    ids::{CommonName, NodeId, UserKey},
    username::Username,
};

use crate::{
    domain::{actor::Actor, placement::place},
    ops::{
        audit::{self, Entry},
        transact::transact,
        users::{
            change::want_revision,
            create::{DEFAULT_POOL, takes_users},
        },
    },
};

/// Users placed in one transaction.
const BATCH: i64 = 200;

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Users that lacked a node.
    pub users: usize,
    /// Whether there may be more.
    pub more: bool,
}

/// How many nodes a user should stand on.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Nodes for each user, its home included.
    pub replicas: usize,
    /// A node that is lost for longer does not count.
    pub rehome_after: Duration,
}

/// Places up to 200 users that lack a node. Safe in all replicas: each takes other rows.
///
/// # Errors
/// When the database does not answer.
pub async fn place_users(db: &DatabaseConnection, goal: Goal) -> Result<Placed, DbErr> {
    transact(db, |tx| async move { place_within(&tx, goal).await }).await
}

async fn place_within(transaction: &DatabaseTransaction, goal: Goal) -> Result<Placed, DbErr> {
    let dead_since = Utc::now() - goal.rehome_after;
    let servers = server::Entity::find().all(transaction).await?;
    let users = lacking(transaction, goal.replicas, dead_since).await?;
    let found = users.len();
    let ids: Vec<i64> = users.iter().map(|user| user.id).collect();
    let placements = placement::Entity::find_of(ids).all(transaction).await?;
    for user in users {
        let held: Vec<&placement::Model> = placements
            .iter()
            .filter(|placement| placement.user_id == user.id)
            .collect();
        place_one(
            transaction,
            Placing {
                user: &user,
                held: &held,
                servers: &servers,
                replicas: goal.replicas,
                dead_since,
            },
        )
        .await?;
    }
    Ok(Placed {
        users: found,
        more: found == usize::try_from(BATCH).unwrap_or(usize::MAX),
    })
}

/// Living users on fewer nodes than `replicas` and than their pool has. Nodes that are lost since before `dead_since` do not count.
async fn lacking(
    transaction: &DatabaseTransaction,
    replicas: usize,
    dead_since: DateTime<Utc>,
) -> Result<Vec<user::Model>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH pools AS (
             SELECT pool, count(*) AS nodes FROM servers
             WHERE enabled AND NOT draining AND lost_since IS NULL GROUP BY pool)
         SELECT u.* FROM users u
         LEFT JOIN servers s ON s.name = u.server_id
         JOIN pools ON pools.pool = COALESCE(s.pool, $1)
         WHERE u.removed_at IS NULL
           AND (SELECT count(*) FROM placements p WHERE p.user_id = u.id AND p.wanted_present
                AND p.server_id <> ALL (ARRAY(SELECT name FROM servers WHERE state = 'lost' AND lost_since < $4))
               ) < LEAST($2, pools.nodes)
         ORDER BY u.id LIMIT $3 FOR NO KEY UPDATE OF u SKIP LOCKED",
        [
            DEFAULT_POOL.into(),
            i64::try_from(replicas).unwrap_or(i64::MAX).into(),
            BATCH.into(),
            dead_since.into(),
        ],
    );
    user::Model::find_by_statement(statement).all(transaction).await
}

struct Placing<'a> {
    user: &'a user::Model,
    held: &'a [&'a placement::Model],
    servers: &'a [server::Model],
    replicas: usize,
    dead_since: DateTime<Utc>,
}

async fn place_one(transaction: &DatabaseTransaction, placing: Placing<'_>) -> Result<(), DbErr> {
    let Placing {
        user,
        held,
        servers,
        replicas,
        dead_since,
    } = placing;
    let pool = servers
        .iter()
        .find(|server| server.name == user.server_id)
        .map_or(DEFAULT_POOL, |server| &server.pool);
    let home: Option<NodeId> = held
        .iter()
        .find(|placement| placement.role == Role::Home)
        .and_then(|placement| placement.server_id.parse().ok());
    let candidates: Vec<NodeId> = servers
        .iter()
        .filter(|server| takes_users(server) && server.lost_since.is_none() && server.pool == pool)
        .filter_map(|server| server.name.parse().ok())
        .collect();
    let holding: HashSet<&str> = held.iter().map(|placement| placement.server_id.as_str()).collect();
    let is_dead = |name: &str| {
        let server = servers.iter().find(|server| server.name == name);
        server.is_some_and(|server| {
            server.state == NodeState::Lost && server.lost_since.is_some_and(|since| since < dead_since)
        })
    };
    let alive = held.iter().filter(|placement| !is_dead(&placement.server_id)).count();
    // A home that is dead takes the first place and gives nothing.
    let dead_home = usize::from(home.as_ref().is_some_and(|home| is_dead(home.as_str())));
    let wanted = place(UserKey(user.key), home.as_ref(), &candidates, replicas + dead_home);
    let missing: Vec<(NodeId, Role)> = wanted
        .into_iter()
        .filter(|(node, _)| !holding.contains(node.as_str()))
        .take(replicas.saturating_sub(alive))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let revision = user.revision + 1;
    let rows = missing.iter().map(|(node, role)| placement::ActiveModel {
        user_id: Set(user.id),
        server_id: Set(node.to_string()),
        role: Set(*role),
        wanted_revision: Set(revision),
        ..Default::default()
    });
    placement::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await?;
    let new_home = missing
        .iter()
        .find(|(_, role)| *role == Role::Home)
        .map(|(node, _)| node);
    if let Some(home) = new_home {
        settle_in(transaction, user, home).await?;
    }
    let mut update = user::Entity::update_many()
        .col_expr(user::Column::Revision, Expr::value(revision))
        .col_expr(user::Column::Synced, Expr::value(false))
        .filter(user::Column::Id.eq(user.id));
    if let Some(home) = new_home {
        update = update.col_expr(user::Column::ServerId, Expr::value(home.as_str()));
    }
    update.exec(transaction).await?;
    want_revision(transaction, user.id, revision).await?;
    let placed: Vec<&str> = missing.iter().map(|(node, _)| node.as_str()).collect();
    let entry = Entry {
        actor: &Actor::system(),
        action: "user_placed",
        username: Some(user.username.clone()),
        server_id: new_home.map_or_else(|| user.server_id.clone(), ToString::to_string),
        details: Some(format!("also on {}", placed.join(", "))),
        before: Some(json!({ "revision": user.revision, "nodes": holding })),
        after: Some(json!({ "revision": revision, "nodes_added": placed })),
    };
    audit::record(transaction, entry).await
}

/// A user that stood on no node gets a credential that its new home can issue.
async fn settle_in(transaction: &DatabaseTransaction, user: &user::Model, home: &NodeId) -> Result<(), DbErr> {
    let Ok(username) = user.username.parse::<Username>() else {
        return Err(DbErr::Custom(format!("user {} has an invalid username", user.id)));
    };
    let row = credential::ActiveModel {
        user_id: Set(Some(user.id)),
        common_name: Set(CommonName::for_user(&username).to_string()),
        server_id: Set(home.to_string()),
        ..Default::default()
    };
    credential::Entity::insert(row)
        .exec_without_returning(transaction)
        .await
        .map(drop)
}
