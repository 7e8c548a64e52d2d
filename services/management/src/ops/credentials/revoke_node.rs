//! Revokes the credentials that a node made, because others may have its keys: the private keys of those profiles lie on its disk. It is
//! recorded in the transaction of the request, and carried out some users at a time, so that a crash ends nothing and no transaction is
//! long.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Statement,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType},
};
use serde_json::json;
use tracing::info;
use vpnmanager_entities::{
    credential,
    node_revocation::{self, Column},
    user,
};
use vpnmanager_nats::ids::{CommonName, NodeId};

use crate::{
    domain::{actor::Actor, audit_action::AuditAction, placement::Heirs},
    ops::{
        audit::{self, Entry},
        credentials::give::{NewCredential, give_credentials},
        placement::{choose_homes::choose_homes, hand_over::hand_over},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
    },
};

/// One transaction takes the users of the next so many credentials, and revokes all that the node made for these users.
const BATCH: i64 = 200;

/// What happens to the credentials that a node made, when it leaves or is disabled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NodeCredentials {
    /// They stay valid at the other nodes.
    #[default]
    Keep,
    /// They are revoked for ever, their sessions are cut, and their users get new ones.
    Revoke,
}

/// The result of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Users whose credentials were revoked.
    pub users: usize,
    /// Whether there may be more of them.
    pub more: bool,
}

/// Records that the credentials of the node are to be revoked, and says whether it has any. The caller must have locked the node's row, if
/// there is one, so that nobody gets a credential of it meanwhile. Asking again while it goes on changes nothing but what is newer.
pub async fn ask_for(transaction: &DatabaseTransaction, actor: &Actor, node: &NodeId) -> Result<bool, DbErr> {
    let newest: Option<i64> = credential::Entity::find()
        .filter(credential::Column::ServerId.eq(node.clone()))
        .filter(credential::COLUMN.revoked_at.is_null())
        .order_by_desc(credential::Column::Id)
        .select_only()
        .column(credential::Column::Id)
        .into_tuple()
        .one(transaction)
        .await?;
    let Some(upto) = newest else {
        return Ok(false);
    };
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        // PostgreSQL manual, "System Columns": xmax is 0 in a row that was not there.
        "INSERT INTO node_revocations (server_id, upto, actor, ip_address, request_id) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (server_id) DO UPDATE SET upto = EXCLUDED.upto RETURNING xmax = 0 AS is_new",
        [
            node.clone().into(),
            upto.into(),
            actor.name.clone().into(),
            actor.address.map(IpNetwork::from).into(),
            actor.request_id.clone().into(),
        ],
    );
    let begun = Begun::find_by_statement(statement).one(transaction).await?;
    if !begun.is_some_and(|begun| begun.is_new) {
        return Ok(true);
    }
    let entry = Entry::new(actor, AuditAction::NodeRevocationStarted, node)
        .details("the credentials that it made are revoked, and their users get new ones");
    audit::record_one(transaction, entry).await?;
    Ok(true)
}

#[derive(FromQueryResult)]
struct Begun {
    is_new: bool,
}

/// Revokes the credentials of up to 200 users of one node. All replicas may run this at the same time: each takes another node.
pub async fn revoke_some(db: &DatabaseConnection) -> Result<Revoked, DbErr> {
    transact(db, |tx| async move { revoke_within(&tx).await }).await
}

async fn revoke_within(transaction: &DatabaseTransaction) -> Result<Revoked, DbErr> {
    let job = node_revocation::Entity::find()
        .order_by_asc(Column::AskedAt)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(transaction)
        .await?;
    let Some(job) = job else {
        return Ok(Revoked { users: 0, more: false });
    };
    let users = concerned(transaction, &job).await?;
    if users.is_empty() {
        end(transaction, job).await?;
        // Another node may wait.
        return Ok(Revoked { users: 0, more: true });
    }
    let users = lock(transaction, users).await?;
    let revoked = revoke(transaction, &job, users).await?;
    let living = living(transaction, revoked.keys().copied().collect()).await?;
    let renewed = renew(transaction, &job.server_id, &living).await?;
    let actor = actor_of(&job);
    let entries = living.iter().filter_map(|user| {
        let names = revoked.get(&user.id)?;
        let (home, new) = renewed.get(&user.id)?;
        let entry = Entry::new(&actor, AuditAction::UserCredentialsRevoked, &job.server_id)
            .about(&user.username)
            .details(match new {
                Next::Given => format!(
                    "others may have the keys of {}; a new profile follows from {home}",
                    job.server_id
                ),
                Next::Held => format!(
                    "others may have the keys of {}; the profile of {home} stays valid",
                    job.server_id
                ),
                Next::Awaited => format!(
                    "others may have the keys of {}; no other server holds the user yet",
                    job.server_id
                ),
            })
            .before(json!({ "credentials": names }))
            .after(json!({ "server_id": home }));
        Some(entry)
    });
    audit::record_all(transaction, entries).await?;
    let credentials: usize = revoked.values().map(Vec::len).sum();
    let mut row = job.clone().into_active_model();
    row.users = Set(job.users + count(living.len()));
    row.credentials = Set(job.credentials + count(credentials));
    row.update(transaction).await?;
    Ok(Revoked {
        users: living.len(),
        more: true,
    })
}

/// The users of the next credentials.
async fn concerned(transaction: &DatabaseTransaction, job: &node_revocation::Model) -> Result<BTreeSet<i64>, DbErr> {
    let found: Vec<i64> = credential::Entity::find()
        .select_only()
        .column(credential::Column::UserId)
        .filter(credential::Column::ServerId.eq(job.server_id.clone()))
        .filter(credential::COLUMN.id.lte(job.upto))
        .filter(credential::COLUMN.revoked_at.is_null())
        .filter(credential::COLUMN.user_id.is_not_null())
        .order_by_asc(credential::Column::Id)
        .limit(BATCH.unsigned_abs())
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(found.into_iter().collect())
}

/// Locks the users in the order of their ids, as every change does it. One that was deleted meanwhile is left out.
async fn lock(transaction: &DatabaseTransaction, users: BTreeSet<i64>) -> Result<Vec<i64>, DbErr> {
    user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::COLUMN.id.is_in(users))
        .order_by_asc(user::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(transaction)
        .await
}

#[derive(FromQueryResult)]
struct RevokedName {
    user_id: i64,
    common_name: CommonName,
}

/// Revokes what the node made for these users; gives the names by user.
async fn revoke(
    transaction: &DatabaseTransaction,
    job: &node_revocation::Model,
    users: Vec<i64>,
) -> Result<BTreeMap<i64, Vec<CommonName>>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials SET revoked_at = now()
         WHERE user_id = ANY($1) AND server_id = $2 AND id <= $3 AND revoked_at IS NULL
         RETURNING user_id, common_name",
        [users.into(), job.server_id.clone().into(), job.upto.into()],
    );
    let mut names: BTreeMap<i64, Vec<CommonName>> = BTreeMap::new();
    for revoked in RevokedName::find_by_statement(statement).all(transaction).await? {
        names.entry(revoked.user_id).or_default().push(revoked.common_name);
    }
    Ok(names)
}

async fn living(transaction: &DatabaseTransaction, users: Vec<i64>) -> Result<Vec<user::Model>, DbErr> {
    user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(users))
        .order_by_asc(user::Column::Id)
        .all(transaction)
        .await
}

/// Where a user's next profile comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A new credential was given.
    Given,
    /// There is one that its home made, which is another node.
    Held,
    /// The user is on no node: the placer gives a credential together with a home.
    Awaited,
}

/// Raises the revision of each user, so that its nodes hear of it, and sees to it that each has a credential of its home. A home on the
/// node itself moves to a standby; where there is none it stays. Gives each user's home and next profile.
async fn renew(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    users: &[user::Model],
) -> Result<BTreeMap<i64, (NodeId, Next)>, DbErr> {
    let at_home: Vec<i64> = users
        .iter()
        .filter(|user| user.server_id == *node)
        .map(|user| user.id)
        .collect();
    let moves = choose_homes(transaction, &at_home, Heirs::Any).await?;
    hand_over(transaction, &moves, Urgency::EndsAccess).await?;
    let mut next: BTreeMap<i64, (NodeId, Next)> = moves
        .into_iter()
        .map(|change| (change.user_id, (change.to, Next::Given)))
        .collect();

    let staying: Vec<&user::Model> = users.iter().filter(|user| !next.contains_key(&user.id)).collect();
    let ids: Vec<i64> = staying.iter().map(|user| user.id).collect();
    let held = with(transaction, HELD, &ids).await?;
    let placed = with(transaction, PLACED, &ids).await?;
    let without: Vec<&user::Model> = staying
        .iter()
        .copied()
        .filter(|user| placed.contains(&user.id) && !held.contains(&user.id))
        .collect();
    let new: Vec<NewCredential> = without
        .iter()
        .map(|user| NewCredential::new(user.id, &user.username, &user.server_id))
        .collect();
    give_credentials(transaction, &new).await?;
    let renewed: Vec<i64> = without.iter().map(|user| user.id).collect();
    user::Entity::update_many()
        .col_expr(user::Column::Revision, Expr::col(user::Column::Revision).add(1))
        .col_expr(user::Column::Synced, Expr::value(false))
        .filter(user::COLUMN.id.is_in(ids.clone()))
        .exec(transaction)
        .await?;
    user::Entity::update_many()
        .col_expr(user::Column::Checksum, Expr::value(Option::<String>::None))
        .col_expr(user::Column::OvpnPath, Expr::value(Option::<String>::None))
        .filter(user::COLUMN.id.is_in(renewed.clone()))
        .exec(transaction)
        .await?;
    want_newest(transaction, &ids, Urgency::EndsAccess).await?;
    for user in staying {
        let state = if renewed.contains(&user.id) {
            Next::Given
        } else if held.contains(&user.id) {
            Next::Held
        } else {
            Next::Awaited
        };
        next.insert(user.id, (user.server_id.clone(), state));
    }
    Ok(next)
}

/// Users with a valid credential of their home.
const HELD: &str =
    "SELECT DISTINCT u.id FROM users u JOIN credentials c ON c.user_id = u.id AND c.server_id = u.server_id
     WHERE u.id = ANY($1) AND c.revoked_at IS NULL";
/// Users whose home is one of their nodes.
const PLACED: &str = "SELECT u.id FROM users u JOIN placements p ON p.user_id = u.id AND p.server_id = u.server_id
     WHERE u.id = ANY($1) AND p.wanted_present";

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

async fn with(transaction: &DatabaseTransaction, sql: &'static str, users: &[i64]) -> Result<BTreeSet<i64>, DbErr> {
    let backend = transaction.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, [users.to_vec().into()]);
    let found = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(found.into_iter().map(|user| user.id).collect())
}

async fn end(transaction: &DatabaseTransaction, job: node_revocation::Model) -> Result<(), DbErr> {
    info!(node.id = %job.server_id, users = job.users, credentials = job.credentials, "The credentials of a node are revoked");
    let entry = Entry::new(&actor_of(&job), AuditAction::NodeRevocationCompleted, &job.server_id)
        .after(json!({ "users": job.users, "credentials": job.credentials }));
    audit::record_one(transaction, entry).await?;
    node_revocation::Entity::delete_by_id(job.server_id)
        .exec(transaction)
        .await
        .map(drop)
}

fn actor_of(job: &node_revocation::Model) -> Actor {
    Actor {
        name: job.actor.clone(),
        address: job.ip_address.map(|address| address.ip()),
        request_id: job.request_id.clone(),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
