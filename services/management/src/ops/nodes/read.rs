//! Reads nodes with their health and their progress.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use vpnmanager_entities::{health_status, pool, server};
use vpnmanager_nats::{ids::NodeId, sync::StateDigest};

use crate::{
    app::App,
    domain::{
        agent_features::Feature,
        drift::{Held, Recorded, drifts},
        scope::Scope,
    },
    ops::{groups::told::told_revision, nodes::unmet_needs::unmet_needs},
};

/// A node, its last heartbeat, and its progress.
#[derive(Debug, Clone)]
pub struct NodeView {
    /// The node.
    pub server: server::Model,
    /// Its latest heartbeat.
    pub health: Option<health_status::Model>,
    /// How far it has applied its commands.
    pub progress: Progress,
    /// How far it has applied the network of its pool; `None` where the pool has none.
    pub network: Option<NetworkProgress>,
    /// How far it has applied the groups; `None` where there are none.
    pub groups: Option<GroupsProgress>,
    /// What its users need, and its agent is too old for.
    pub unmet: Vec<Feature>,
}

/// How far a node has applied the groups of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupsProgress {
    /// How often the groups were changed.
    pub wanted_revision: i64,
    /// The revision that it holds members to, as its last heartbeat says; `None`: none.
    pub applied_revision: Option<i64>,
}

impl GroupsProgress {
    /// Whether it has applied what is wanted.
    pub fn is_applied(self) -> bool {
        self.applied_revision == Some(self.wanted_revision)
    }
}

/// How far a node has applied the network of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkProgress {
    /// The revision of the pool.
    pub wanted_revision: i64,
    /// The revision that it has applied, as its last heartbeat says; `None`: none, or that of another pool.
    pub applied_revision: Option<i64>,
}

impl NetworkProgress {
    fn of(pool: &str, wanted_revision: i64, health: Option<&health_status::Model>) -> Self {
        let of_this_pool = |health: &&health_status::Model| health.network_pool.as_ref().is_some_and(|of| *of == pool);
        Self {
            wanted_revision,
            applied_revision: health.filter(of_this_pool).and_then(|health| health.network_revision),
        }
    }

    /// Whether it has applied what is wanted.
    pub fn is_applied(self) -> bool {
        self.applied_revision == Some(self.wanted_revision)
    }
}

/// How far a node has applied its commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Users that it should hold.
    pub wanted: i64,
    /// Placements that it has applied.
    pub applied: i64,
    /// Placements that it has not applied yet, including removals.
    pub pending: i64,
    /// When the oldest pending placement was published.
    pub oldest_pending_at: Option<DateTime<Utc>>,
    /// The newest error or note that it reported.
    pub last_error: Option<String>,
    /// When it last applied something, by the node's clock.
    pub last_applied_at: Option<DateTime<Utc>>,
    /// Digest over the users and revisions that it has applied.
    pub digest: StateDigest,
}

impl Progress {
    /// Counts what the node says that it holds, because it lost what it had applied before `emptied_at`.
    fn count_only(&mut self, health: Option<&health_status::Model>, emptied_at: DateTime<Utc>) {
        let said = health.filter(|health| health.reported_at >= emptied_at);
        let held = said.map_or(0, |health| health.users);
        self.applied = self.applied.min(held);
        self.pending = self.pending.max(self.wanted - self.applied);
        self.oldest_pending_at = Some(self.oldest_pending_at.map_or(emptied_at, |at| at.min(emptied_at)));
    }

    /// The part that decides about drift.
    pub fn recorded(&self) -> Recorded {
        Recorded {
            digest: self.digest,
            applied: self.applied,
            pending: self.pending,
            last_applied_at: self.last_applied_at,
        }
    }
}

impl NodeView {
    /// Whether the node holds exactly what it should. `None` while something is pending, and until a heartbeat arrives after that.
    pub fn digest_matches(&self) -> Option<bool> {
        let health = self.health.as_ref()?;
        let held = Held {
            digest: health.digest,
            at: health.reported_at,
            complete: health.complete,
            queued_intents: health.queued_intents.try_into().unwrap_or_default(),
        };
        drifts(held, self.progress.recorded()).map(|drifts| !drifts)
    }
}

/// Reads one node.
pub async fn get_node(app: &App, node: &NodeId) -> Result<Option<NodeView>, DbErr> {
    let Some(server) = server::Entity::find_by_name(node.clone()).one(&app.db).await? else {
        return Ok(None);
    };
    views(&app.db, vec![server]).await.map(|views| views.into_iter().next())
}

/// Reads at most `limit` nodes of the pools in the scope in the order of their enrolment, starting after the row with the id `after`.
pub async fn list_nodes(app: &App, scope: &Scope, after: Option<i64>, limit: u64) -> Result<Vec<NodeView>, DbErr> {
    let mut query = server::Entity::find().order_by_asc(server::Column::Id).limit(limit);
    if let Some(pools) = &scope.pools {
        query = query.filter(server::Column::Pool.is_in(pools.clone()));
    }
    if let Some(after) = after {
        query = query.filter(server::COLUMN.id.gt(after));
    }
    views(&app.db, query.all(&app.db).await?).await
}

/// Reads how far one node has applied its commands.
pub async fn progress(db: &impl ConnectionTrait, node: &NodeId) -> Result<Progress, DbErr> {
    let mut all = progress_of(db, std::slice::from_ref(node)).await?;
    Ok(all.remove(node).unwrap_or_default())
}

async fn views(db: &impl ConnectionTrait, servers: Vec<server::Model>) -> Result<Vec<NodeView>, DbErr> {
    let names: Vec<NodeId> = servers.iter().map(|server| server.name.clone()).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let health = health_status::Entity::find()
        .filter(health_status::Column::ServerId.eq_any(names.clone()))
        .all(db)
        .await?;
    let mut health: HashMap<NodeId, health_status::Model> = health
        .into_iter()
        .map(|health| (health.server_id.clone(), health))
        .collect();
    let mut progress = progress_of(db, &names).await?;
    let wanted = wanted_networks(db, &servers).await?;
    let groups = told_revision(db).await?;
    let mut unmet = unmet_needs(db, &agents(&servers)).await?;
    let views = servers.into_iter().map(|server| {
        let health = health.remove(&server.name);
        let mut progress = progress.remove(&server.name).unwrap_or_default();
        if let Some(emptied_at) = server.emptied_at {
            progress.count_only(health.as_ref(), emptied_at);
        }
        let wanted = wanted.get(&server.pool);
        NodeView {
            network: wanted.map(|revision| NetworkProgress::of(&server.pool, *revision, health.as_ref())),
            groups: groups.map(|wanted_revision| GroupsProgress {
                wanted_revision,
                applied_revision: health.as_ref().and_then(|health| health.groups_revision),
            }),
            unmet: unmet.remove(&server.name).unwrap_or_default(),
            health,
            progress,
            server,
        }
    });
    Ok(views.collect())
}

/// The nodes whose agents said of which version they are.
fn agents(servers: &[server::Model]) -> Vec<(&NodeId, &str)> {
    let said = servers
        .iter()
        .filter_map(|server| Some((&server.name, server.agent_version.as_deref()?)));
    said.collect()
}

/// The revisions of those pools of the nodes that have a network.
async fn wanted_networks(db: &impl ConnectionTrait, servers: &[server::Model]) -> Result<HashMap<String, i64>, DbErr> {
    let pools: HashSet<String> = servers.iter().map(|server| server.pool.clone()).collect();
    let wanted: Vec<(String, i64)> = pool::Entity::find()
        .select_only()
        .columns([pool::Column::Name, pool::Column::Revision])
        .filter(pool::Column::Name.eq_any(pools))
        .filter(pool::Column::Network.is_not_null())
        .into_tuple()
        .all(db)
        .await?;
    Ok(wanted.into_iter().collect())
}

#[derive(FromQueryResult)]
struct ProgressRow {
    server_id: NodeId,
    wanted: i64,
    applied: i64,
    pending: i64,
    oldest_pending_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    last_applied_at: Option<DateTime<Utc>>,
    digest: i64,
}

/// Reads how far these nodes have applied their commands, whatever the number of their users: from the totals, and from the pending
/// placements and those with an error by an index each.
pub async fn progress_of(db: &impl ConnectionTrait, nodes: &[NodeId]) -> Result<HashMap<NodeId, Progress>, DbErr> {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT t.*,
             (SELECT min(COALESCE(p.published_at, p.created_at)) FROM placements p
              WHERE p.server_id = t.server_id AND p.applied_revision < p.wanted_revision) AS oldest_pending_at,
             (SELECT p.error FROM placements p WHERE p.server_id = t.server_id AND p.error IS NOT NULL
              ORDER BY p.id DESC LIMIT 1) AS last_error
         FROM (
             SELECT server_id, sum(wanted)::bigint AS wanted, sum(applied)::bigint AS applied, sum(pending)::bigint AS pending,
                 bit_xor(digest) AS digest, max(last_applied_at) AS last_applied_at
             FROM (
                 SELECT server_id, wanted, applied, pending, digest, last_applied_at FROM node_totals WHERE server_id = ANY($1)
                 UNION ALL
                 SELECT server_id, wanted, applied, pending, digest, last_applied_at FROM node_total_changes WHERE server_id = ANY($1)
             ) AS parts GROUP BY server_id
         ) AS t",
        [names.into()],
    );
    let rows = ProgressRow::find_by_statement(statement).all(db).await?;
    let all = rows.into_iter().map(|row| {
        let progress = Progress {
            wanted: row.wanted,
            applied: row.applied,
            pending: row.pending,
            oldest_pending_at: row.oldest_pending_at,
            last_error: row.last_error,
            last_applied_at: row.last_applied_at,
            digest: StateDigest(row.digest.cast_unsigned()),
        };
        (row.server_id, progress)
    });
    Ok(all.collect())
}
