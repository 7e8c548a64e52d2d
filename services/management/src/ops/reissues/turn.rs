//! The turn of some users: their devices get other credentials.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, IntoActiveModel,
    QueryFilter, QueryOrder, Statement,
};
use vpnmanager_entities::{credential, node_reissue, user};
use vpnmanager_nats::ids::NodeId;

use crate::{
    app::App,
    domain::renewal::{Cause, renewals},
    ops::{
        asker::AskedFor as _,
        count::count,
        credentials::renew::{Renewed, Renewing},
    },
};

/// Users of one transaction: whoever wants to change one of them waits for so many at most.
const BATCH: i64 = 100;
/// How many of the users who still have to come are looked at for a batch.
const LOOKED_AT: i64 = 1_000;

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

/// The next users whom nobody else is changing, locked in the order of their ids, as every change does it.
pub(super) async fn next_users(transaction: &DatabaseTransaction, node: &NodeId) -> Result<Vec<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id FROM (
             SELECT user_id FROM node_reissue_users WHERE server_id = $1 ORDER BY user_id LIMIT $3) w
         JOIN users u ON u.id = w.user_id
         ORDER BY w.user_id LIMIT $2 FOR NO KEY UPDATE OF u SKIP LOCKED",
        [node.clone().into(), BATCH.into(), LOOKED_AT.into()],
    );
    let found = UserId::find_by_statement(statement).all(transaction).await?;
    Ok(found.into_iter().map(|user| user.id).collect())
}

/// Renews the devices of these users, whose rows are locked, and notes that they had their turn.
pub(super) async fn renew(
    transaction: &DatabaseTransaction,
    app: &App,
    job: node_reissue::Model,
    users: &[i64],
) -> Result<(), DbErr> {
    let living = user::Entity::find_living()
        .filter(user::COLUMN.id.is_in(users.iter().copied()))
        .order_by_asc(user::Column::Id)
        .all(transaction)
        .await?;
    let valid = credential::Entity::find_valid_of(users.iter().copied())
        .all(transaction)
        .await?;
    let cause = Cause::Lost {
        node: &job.server_id,
        upto: job.upto,
    };
    let renewed = living.into_iter().filter_map(|user| {
        let is_hers = |credential: &&credential::Model| credential.user_id == Some(user.id);
        let credentials: Vec<credential::Model> = valid.iter().filter(is_hers).cloned().collect();
        let renewals = renewals(&credentials, &user.server_id, cause, job.old_profiles);
        (!renewals.is_empty()).then_some((user, renewals))
    });
    let renewed: Vec<Renewed> = renewed.collect();
    let actor = job.asker();
    let renewing = Renewing {
        app,
        actor: &actor,
        old: job.old_profiles,
    };
    let changed = renewing.renew(transaction, &renewed).await?.len();
    take_off(transaction, &job.server_id, users).await?;
    let (done, unchanged) = (
        job.done + count(users.len()),
        job.unchanged + count(users.len() - changed),
    );
    let mut row = job.into_active_model();
    row.done = Set(done);
    row.unchanged = Set(unchanged);
    row.update(transaction).await.map(drop)
}

/// They had their turn; gives how many of them were still to come.
pub(super) async fn take_off(db: &impl ConnectionTrait, node: &NodeId, users: &[i64]) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "WITH turn AS (UPDATE node_reissues SET turn_at = now() WHERE server_id = $1)
         DELETE FROM node_reissue_users WHERE server_id = $1 AND user_id = ANY($2)",
        [node.clone().into(), users.to_vec().into()],
    );
    Ok(db.execute_raw(statement).await?.rows_affected())
}
