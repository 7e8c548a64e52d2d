//! Places users that have fewer nodes than they should and could have, for example after a node joined or left.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{Expr, LockBehavior, LockType},
};
use serde_json::json;
use vpnmanager_entities::{
    placement::{self, Role},
    user,
};
use vpnmanager_nats::ids::{DEFAULT_POOL, NodeId};

use crate::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        placement::{Fleet, Goal, UserPlacements, is_open, missing_nodes},
    },
    ops::{
        audit::{self, Entry},
        count::count,
        credentials::{
            devices::devices_of,
            give::{NewCredential, give_credentials},
            revoke::revoke_unsigned,
        },
        nodes::read::{Progress, progress_of},
        placement::read_fleet::{read_fleet, read_fleet_locked},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
    },
};

/// Users that are found at once, without a lock: this reads all users.
const FOUND: i64 = 1_000;
/// Users placed in one transaction.
const BATCH: usize = 50;

/// The result of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Users that were found to lack a node. One that was being changed is left to the next run.
    pub users: usize,
    /// Whether there may be more such users.
    pub more: bool,
}

/// Places up to 1,000 users that lack a node, some at a time. All replicas may run this at the same time: each takes other rows.
pub async fn place_users(db: &DatabaseConnection, goal: Goal) -> Result<Placed, DbErr> {
    let lacking = find_lacking(db, &read_fleet(db).await?, goal).await?;
    for some in lacking.chunks(BATCH) {
        transact(db, |tx| async move { place_within(&tx, some, goal).await }).await?;
    }
    Ok(Placed {
        users: lacking.len(),
        more: lacking.len() == usize::try_from(FOUND).unwrap_or(usize::MAX),
    })
}

/// Places those of these users who still lack a node, and whom nobody else is changing.
async fn place_within(transaction: &DatabaseTransaction, lacking: &[i64], goal: Goal) -> Result<(), DbErr> {
    // Nodes before users, as a deregistration does it.
    let fleet = read_fleet_locked(transaction).await?;
    let users = user::Entity::find_living()
        .filter(user::Column::Id.eq_any(lacking.iter().copied()))
        .order_by_asc(user::Column::Id)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(transaction)
        .await?;
    let placements = placement::Entity::find_of(users.iter().map(|user| user.id))
        .all(transaction)
        .await?;
    for user in &users {
        let held: Vec<&placement::Model> = placements
            .iter()
            .filter(|placement| placement.user_id == user.id)
            .collect();
        let placed = UserPlacements {
            user: user.key,
            home: &user.server_id,
            former_pool: user.former_pool.as_deref(),
            placements: &held,
        };
        let missing = missing_nodes(placed, &fleet, goal);
        if !missing.is_empty() {
            add_nodes(transaction, &fleet, (user, &held), &missing).await?;
        }
    }
    Ok(())
}

/// What decides whether a user lacks a node, besides the user: while it stays as it was, nobody can lack one who lacked none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// Which nodes take users.
    pub openings: Openings,
    /// The totals of each node, which change with any placement.
    pub progress: HashMap<NodeId, Progress>,
}

/// Which nodes take users, with the pool of each, in the order of the nodes' names; and how many nodes a user gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Openings {
    /// The pool of each open node.
    pub open: Vec<String>,
    /// Nodes that get users which nobody wants elsewhere, and their pools.
    pub candidates: Vec<(String, String)>,
    /// Nodes that do not count any more.
    pub given_up: Vec<String>,
    /// The pools that say how many nodes each of their users gets.
    pub replicas: HashMap<String, usize>,
}

impl Openings {
    fn of(fleet: &Fleet, goal: Goal) -> Self {
        let servers = fleet.servers();
        let open = servers.iter().filter(|server| is_open(server));
        let candidates = servers.iter().filter(|server| fleet.is_candidate(server));
        let given_up = servers
            .iter()
            .filter(|server| fleet.is_given_up(server, goal.lost_before));
        Self {
            open: open.map(|server| server.pool.clone()).collect(),
            candidates: candidates
                .map(|server| (server.name.to_string(), server.pool.clone()))
                .collect(),
            given_up: given_up.map(|server| server.name.to_string()).collect(),
            replicas: fleet.replicas().clone(),
        }
    }
}

/// Reads what decides whether anybody lacks a node, whatever the number of users.
pub async fn read_basis(db: &impl ConnectionTrait, goal: Goal) -> Result<Basis, DbErr> {
    let fleet = read_fleet(db).await?;
    let names: Vec<NodeId> = fleet.servers().iter().map(|server| server.name.clone()).collect();
    Ok(Basis {
        openings: Openings::of(&fleet, goal),
        progress: progress_of(db, &names).await?,
    })
}

/// Living users with fewer nodes than the goal, whose pool has a candidate that they are not on: those for whom [`missing_nodes`] finds any.
/// A node of the pool that is still removing a user cannot get the same user again before that, so it counts as one of them.
async fn find_lacking(db: &DatabaseConnection, fleet: &Fleet, goal: Goal) -> Result<Vec<i64>, DbErr> {
    let Openings {
        open,
        candidates,
        given_up,
        replicas: _,
    } = Openings::of(fleet, goal);
    let mut nodes: HashMap<String, i64> = HashMap::new();
    for pool in open {
        *nodes.entry(pool).or_default() += 1;
    }
    // No user can be on more nodes than are open.
    let wanted = |(pool, open): (String, i64)| {
        let replicas = count(fleet.replicas_of(&pool, goal.replicas));
        (pool, open.min(replicas))
    };
    let (pools, wanted): (Vec<String>, Vec<i64>) = nodes.into_iter().map(wanted).unzip();
    let (candidates, their_pools): (Vec<String>, Vec<String>) = candidates.into_iter().unzip();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "WITH open AS MATERIALIZED (SELECT * FROM UNNEST($1::text[], $2::bigint[]) AS o (pool, wanted)),
             candidates AS MATERIALIZED (SELECT * FROM UNNEST($6::text[], $7::text[]) AS c (name, pool))
         SELECT u.id FROM users u
         LEFT JOIN servers s ON s.name = u.server_id
         JOIN open ON open.pool = COALESCE(u.former_pool, s.pool, $3)
         WHERE u.removed_at IS NULL
           AND (SELECT count(*) FROM placements p WHERE p.user_id = u.id AND p.server_id <> ALL ($4)
                AND (p.wanted_present OR EXISTS (SELECT FROM servers h WHERE h.name = p.server_id AND h.pool = open.pool)))
               < open.wanted
           AND EXISTS (SELECT FROM candidates c WHERE c.pool = open.pool
                       AND NOT EXISTS (SELECT FROM placements p WHERE p.user_id = u.id AND p.server_id = c.name))
         ORDER BY u.id LIMIT $5",
        [
            pools.into(),
            wanted.into(),
            DEFAULT_POOL.into(),
            given_up.into(),
            FOUND.into(),
            candidates.into(),
            their_pools.into(),
        ],
    );
    let found = Lacking::find_by_statement(statement).all(db).await?;
    Ok(found.into_iter().map(|user| user.id).collect())
}

#[derive(FromQueryResult)]
struct Lacking {
    id: i64,
}

async fn add_nodes(
    transaction: &DatabaseTransaction,
    fleet: &Fleet,
    (user, held): (&user::Model, &[&placement::Model]),
    missing: &[(NodeId, Role)],
) -> Result<(), DbErr> {
    let revision = user.revision + 1;
    let rows = missing.iter().map(|(node, role)| placement::ActiveModel {
        user_id: Set(user.id),
        server_id: Set(node.clone()),
        role: Set(*role),
        wanted_revision: Set(revision),
        ..Default::default()
    });
    placement::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await?;
    let mut update = user::Entity::update_many()
        .col_expr(user::Column::Revision, Expr::value(revision))
        .col_expr(user::Column::Synced, Expr::value(false))
        .filter(user::Column::Id.eq(user.id));
    let new_home = missing
        .iter()
        .find(|(_, role)| *role == Role::Home)
        .map(|(node, _)| node);
    if let Some(home) = new_home {
        give_home(transaction, user, home).await?;
        update = update
            .col_expr(user::Column::ServerId, Expr::value(home.clone()))
            .col_expr(user::Column::Checksum, Expr::value(Option::<String>::None))
            .col_expr(user::Column::OvpnPath, Expr::value(Option::<String>::None))
            .col_expr(user::Column::FormerPool, Expr::value(Option::<String>::None));
        if let Some(server) = fleet.find(home) {
            update = update
                .col_expr(user::Column::Port, Expr::value(server.public_port))
                .col_expr(user::Column::Protocol, Expr::value(server.public_protocol));
        }
    }
    update.exec(transaction).await?;
    want_newest(transaction, &[user.id], Urgency::Ordinary).await?;
    let before: Vec<&NodeId> = held.iter().map(|placement| &placement.server_id).collect();
    let added: Vec<&str> = missing.iter().map(|(node, _)| node.as_str()).collect();
    let recorder = new_home.unwrap_or(&user.server_id);
    let entry = Entry::new(&Actor::system(), AuditAction::UserPlaced, recorder)
        .about(&user.username)
        .details(format!("also on {}", added.join(", ")))
        .before(json!({ "revision": user.revision, "nodes": before }))
        .after(json!({ "revision": revision, "nodes_added": added }));
    audit::record_one(transaction, entry).await
}

/// Gives each device of a user that was on no node a credential that its new home can issue. Those that nobody ever had a certificate for are of
/// no use any more.
async fn give_home(transaction: &DatabaseTransaction, user: &user::Model, home: &NodeId) -> Result<(), DbErr> {
    let devices = devices_of(transaction, &[user.id]).await?;
    revoke_unsigned(transaction, user.id).await?;
    let new: Vec<NewCredential> = devices
        .iter()
        .map(|held| NewCredential::new(user.id, &user.username, &held.device, home))
        .collect();
    give_credentials(transaction, &new).await
}
