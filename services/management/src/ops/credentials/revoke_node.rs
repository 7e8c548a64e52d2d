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
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
};

use crate::{
    domain::{actor::Actor, audit_action::AuditAction, placement::Heirs},
    ops::{
        asker::AskedFor as _,
        audit::{self, Entry},
        count::count,
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
    let renewed = renew(transaction, &job.server_id, &living, &revoked).await?;
    let actor = job.asker();
    let entries = living.iter().filter_map(|user| {
        let names: Vec<&CommonName> = revoked.get(&user.id)?.iter().map(|one| &one.common_name).collect();
        let (home, new) = renewed.get(&user.id)?;
        let entry = Entry::new(&actor, AuditAction::UserCredentialsRevoked, &job.server_id)
            .about(&user.username)
            .details(match new {
                Next::Given => format!(
                    "others may have the keys of {}; a new profile of each device that it was of follows from {home}",
                    job.server_id
                ),
                Next::Held => format!(
                    "others may have the keys of {}; what {home} made stays valid",
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

/// A credential that was revoked.
#[derive(FromQueryResult)]
struct RevokedCredential {
    user_id: i64,
    device: DeviceName,
    common_name: CommonName,
}

/// Revokes what the node made for these users; gives it by user.
async fn revoke(
    transaction: &DatabaseTransaction,
    job: &node_revocation::Model,
    users: Vec<i64>,
) -> Result<BTreeMap<i64, Vec<RevokedCredential>>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "UPDATE credentials SET revoked_at = now()
         WHERE user_id = ANY($1) AND server_id = $2 AND id <= $3 AND revoked_at IS NULL
         RETURNING user_id, device, common_name",
        [users.into(), job.server_id.clone().into(), job.upto.into()],
    );
    let mut by_user: BTreeMap<i64, Vec<RevokedCredential>> = BTreeMap::new();
    for revoked in RevokedCredential::find_by_statement(statement).all(transaction).await? {
        by_user.entry(revoked.user_id).or_default().push(revoked);
    }
    Ok(by_user)
}

async fn living(transaction: &DatabaseTransaction, users: Vec<i64>) -> Result<Vec<user::Model>, DbErr> {
    user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(users))
        .order_by_asc(user::Column::Id)
        .all(transaction)
        .await
}

/// Where a user's next profiles come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// New credentials were given.
    Given,
    /// There are those that its home made, which is another node.
    Held,
    /// The user is on no node: the placer gives credentials together with a home.
    Awaited,
}

/// Raises the revision of each user, so that its nodes hear of it, and sees to it that each device of which a credential was revoked has one of
/// the user's home. A home on the node itself moves to a standby; where there is none it stays. Gives each user's home and next profiles.
async fn renew(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    users: &[user::Model],
    revoked: &BTreeMap<i64, Vec<RevokedCredential>>,
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

    let homed: Vec<(&user::Model, &NodeId)> = users
        .iter()
        .map(|user| (user, next.get(&user.id).map_or(&user.server_id, |(home, _)| home)))
        .collect();
    let given = replace(transaction, &homed, revoked).await?;
    let staying: Vec<&user::Model> = users.iter().filter(|user| !next.contains_key(&user.id)).collect();
    let ids: Vec<i64> = staying.iter().map(|user| user.id).collect();
    let at_home = placed(transaction, &ids).await?;
    let with_default = given.iter().filter(|(_, device)| device.is_default());
    let with_default: Vec<i64> = with_default.map(|(user, _)| *user).collect();
    user::Entity::update_many()
        .col_expr(user::Column::Revision, Expr::col(user::Column::Revision).add(1))
        .col_expr(user::Column::Synced, Expr::value(false))
        .filter(user::COLUMN.id.is_in(ids.clone()))
        .exec(transaction)
        .await?;
    user::Entity::update_many()
        .col_expr(user::Column::Checksum, Expr::value(Option::<String>::None))
        .col_expr(user::Column::OvpnPath, Expr::value(Option::<String>::None))
        .filter(user::COLUMN.id.is_in(with_default))
        .exec(transaction)
        .await?;
    want_newest(transaction, &ids, Urgency::EndsAccess).await?;
    let renewed: BTreeSet<i64> = given.into_iter().map(|(user, _)| user).collect();
    for user in staying {
        let state = match (renewed.contains(&user.id), at_home.contains(&user.id)) {
            (false, _) => Next::Held,
            (true, true) => Next::Given,
            (true, false) => Next::Awaited,
        };
        next.insert(user.id, (user.server_id.clone(), state));
    }
    Ok(next)
}

/// Gives each device of which a credential was revoked one of the user's home, where it has none. Where the user is on no node, nobody can make
/// anything of it: it keeps the device until the placer has found a home. Gives the devices that got one.
async fn replace(
    transaction: &DatabaseTransaction,
    users: &[(&user::Model, &NodeId)],
    revoked: &BTreeMap<i64, Vec<RevokedCredential>>,
) -> Result<BTreeSet<(i64, DeviceName)>, DbErr> {
    let ids = users.iter().map(|(user, _)| user.id);
    let valid = credential::Entity::find_valid_of(ids).all(transaction).await?;
    let has_one = |user: i64, device: &DeviceName, home: &NodeId| {
        let is_it = |credential: &credential::Model| {
            credential.user_id == Some(user) && credential.device == *device && credential.server_id == *home
        };
        valid.iter().any(is_it)
    };
    let (mut given, mut new) = (BTreeSet::new(), Vec::new());
    for &(user, home) in users {
        for RevokedCredential { device, .. } in revoked.get(&user.id).into_iter().flatten() {
            if !has_one(user.id, device, home) && given.insert((user.id, device.clone())) {
                new.push(NewCredential::new(user.id, &user.username, device, home));
            }
        }
    }
    give_credentials(transaction, &new).await?;
    Ok(given)
}

/// Those of these users whose home is one of their nodes.
async fn placed(transaction: &DatabaseTransaction, users: &[i64]) -> Result<BTreeSet<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id FROM users u JOIN placements p ON p.user_id = u.id AND p.server_id = u.server_id
         WHERE u.id = ANY($1) AND p.wanted_present",
        [users.to_vec().into()],
    );
    let found = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(found.into_iter().map(|user| user.id).collect())
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

async fn end(transaction: &DatabaseTransaction, job: node_revocation::Model) -> Result<(), DbErr> {
    info!(node.id = %job.server_id, users = job.users, credentials = job.credentials, "The credentials of a node are revoked");
    let entry = Entry::new(&job.asker(), AuditAction::NodeRevocationCompleted, &job.server_id)
        .after(json!({ "users": job.users, "credentials": job.credentials }));
    audit::record_one(transaction, entry).await?;
    node_revocation::Entity::delete_by_id(job.server_id)
        .exec(transaction)
        .await
        .map(drop)
}
