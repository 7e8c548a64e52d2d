//! Reads pools, with how many nodes and users they have, and what a node's pool says.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use vpnmanager_entities::pool;
use vpnmanager_nats::{
    ids::{NodeId, Revision},
    network::{Network, PoolNetwork},
};

use crate::domain::scope::Scope;

/// A pool and who is in it.
#[derive(Debug, Clone)]
pub struct PoolView {
    /// The pool.
    pub pool: pool::Model,
    /// Who is in it.
    pub members: Members,
}

/// How many nodes and users a pool has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members {
    /// Nodes, those on their way into it or out of it included.
    pub nodes: i64,
    /// Living users.
    pub users: i64,
}

/// Reads one pool.
pub async fn get_pool(db: &impl ConnectionTrait, name: &NodeId) -> Result<Option<PoolView>, DbErr> {
    match pool::Entity::find_by_name(name.clone()).one(db).await? {
        Some(pool) => view(db, pool).await.map(Some),
        None => Ok(None),
    }
}

/// Reads at most `limit` pools of the scope in the order of their names, starting after this name.
pub async fn list_pools(
    db: &impl ConnectionTrait,
    scope: &Scope,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<PoolView>, DbErr> {
    let mut query = pool::Entity::find().order_by_asc(pool::Column::Name).limit(limit);
    if let Some(pools) = &scope.pools {
        query = query.filter(pool::Column::Name.is_in(pools.clone()));
    }
    if let Some(after) = after {
        query = query.filter(pool::Column::Name.gt(after));
    }
    let pools = query.all(db).await?;
    let names: Vec<NodeId> = pools.iter().map(|pool| pool.name.clone()).collect();
    let mut members = count_members(db, &names).await?;
    let views = pools.into_iter().map(|pool| PoolView {
        members: members.remove(&pool.name).unwrap_or_default(),
        pool,
    });
    Ok(views.collect())
}

/// Adds who is in it to a pool that was read.
pub async fn view(db: &impl ConnectionTrait, pool: pool::Model) -> Result<PoolView, DbErr> {
    let mut members = count_members(db, std::slice::from_ref(&pool.name)).await?;
    Ok(PoolView {
        members: members.remove(&pool.name).unwrap_or_default(),
        pool,
    })
}

#[derive(FromQueryResult)]
struct Counted {
    name: NodeId,
    nodes: i64,
    users: i64,
}

/// Counts the nodes and the users of pools. Users are counted by the index over their homes: `node_totals` counts each of them once for
/// every node. A user without a home stays in the pool of the home that it had.
async fn count_members(db: &impl ConnectionTrait, pools: &[NodeId]) -> Result<HashMap<NodeId, Members>, DbErr> {
    let names: Vec<String> = pools.iter().map(ToString::to_string).collect();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT p.name,
             (SELECT count(*) FROM servers s WHERE s.pool = p.name OR s.leaving_for = p.name) AS nodes,
             (SELECT count(*) FROM servers s JOIN users u ON u.server_id = s.name
              WHERE s.pool = p.name AND u.removed_at IS NULL)
             + (SELECT count(*) FROM users u LEFT JOIN servers s ON s.name = u.server_id
                WHERE u.former_pool = p.name AND u.removed_at IS NULL AND s.pool IS DISTINCT FROM p.name) AS users
         FROM UNNEST($1::text[]) AS p (name)",
        [names.into()],
    );
    let counted = Counted::find_by_statement(statement).all(db).await?;
    let members = counted
        .into_iter()
        .map(|Counted { name, nodes, users }| (name, Members { nodes, users }));
    Ok(members.collect())
}

#[derive(FromQueryResult)]
struct OfNode {
    pool: String,
    revision: i64,
    network: Option<Network>,
}

/// The network of the pool that this node is in; `None` for a node that is not there. One query by the indexes of the two names.
///
/// A pool without a row, into which a replica of an older release put the node, is told as it will be when its row is made: the node must
/// leave the network of its former pool.
pub async fn network_of(db: &impl ConnectionTrait, node: &NodeId) -> Result<Option<PoolNetwork>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT s.pool::text AS pool, COALESCE(p.revision, 1) AS revision, p.network
         FROM servers s LEFT JOIN pools p ON p.name = s.pool WHERE s.name = $1",
        [node.clone().into()],
    );
    let found = OfNode::find_by_statement(statement).one(db).await?;
    Ok(found.and_then(|found| {
        Some(PoolNetwork {
            // An older release let a pool have any name. Such a one has no row and no network.
            pool: found.pool.parse().ok()?,
            revision: Revision(found.revision),
            network: found.network,
        })
    }))
}

/// What the profiles of a pool's users say besides, as it is stored.
#[derive(Debug, FromQueryResult)]
pub struct StoredExtras {
    /// The pool.
    pub pool: NodeId,
    /// Its extra directives.
    pub client_directives: Vec<String>,
    /// Its network, whose MTU profiles say.
    pub network: Option<Network>,
}

/// What profiles say besides of the pool of this home; `None` for a node that is not there, or whose pool has no row.
pub async fn profile_extras_of(db: &impl ConnectionTrait, home: &NodeId) -> Result<Option<StoredExtras>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT p.name AS pool, p.client_directives, p.network
         FROM servers s JOIN pools p ON p.name = s.pool WHERE s.name = $1",
        [home.clone().into()],
    );
    StoredExtras::find_by_statement(statement).one(db).await
}
