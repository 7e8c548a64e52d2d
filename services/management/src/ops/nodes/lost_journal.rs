//! A node lost its journal, and gets everything again. What it lost is not applied. But management knows what it had applied, and the node
//! gets just that: so one time in the node's row says since when it holds nothing, no placement is written, and the node acks nothing
//! that is recorded already.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult,
    QueryFilter, Statement,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::server;
use vpnmanager_nats::{ids::NodeId, sync::SyncRequest};

use crate::ops::{in_batches::change_all, transact::transact};

/// Placements in one transaction: who changes one of these users meanwhile waits for a part of a second at most.
const BATCH: i64 = 2_000;

/// What an operator should know of a user whose keys were in the journal.
const KEY_LOST: &str = "the node lost its journal, and the keys of the profiles with it: copies that users have go on to work, but nobody can \
     fetch them again. For others: POST /api/users/{username}/devices/{device}/reissue for each device";

/// Notes that nothing counts any more that the node had applied before its run began, by its own clock: what the run has applied since is in
/// its journal. Nor can it tell of the sessions that were open ([`close_abandoned`](crate::ops::sessions::close_abandoned::close_abandoned)).
/// Changes nothing where that is noted.
pub(super) async fn note(db: &DatabaseConnection, server: &server::Model, request: &SyncRequest) -> Result<(), DbErr> {
    let began_at = request.instance.began_at().filter(|at| *at < request.at);
    let emptied_at = began_at.unwrap_or(request.at).trunc_subsecs(6);
    let is_noted = |noted: DateTime<Utc>| noted >= emptied_at;
    if server.emptied_at.is_some_and(is_noted) {
        return Ok(());
    }
    // Of whom the node removed it gets told again.
    change_all(
        db,
        "WITH removed AS MATERIALIZED (
             SELECT id FROM placements WHERE server_id = $2 AND NOT wanted_present AND applied_revision > 0
             ORDER BY id LIMIT $1 FOR NO KEY UPDATE)
         UPDATE placements p SET applied_revision = 0, digest = 0, published_at = now() FROM removed WHERE p.id = removed.id",
        [server.name.clone().into()],
    )
    .await?;
    server::Entity::update_many()
        .col_expr(server::Column::EmptiedAt, Expr::value(emptied_at))
        .col_expr(server::Column::JournalLostAt, Expr::current_timestamp())
        .filter(server::Column::Id.eq(server.id))
        .exec(db)
        .await
        .map(drop)
}

#[derive(FromQueryResult)]
struct Oldest {
    sequence: Option<i64>,
}

/// The sequence up to which the node's commands are recorded as applied. Commands up to `settled_upto` are recorded as published: a command
/// that is in the stream and not in its placement would be taken for one that the node had applied. A change that is not in the stream yet
/// gets a later sequence, and says nothing of the command before it.
pub async fn recorded_upto(db: &impl ConnectionTrait, node: &NodeId, settled_upto: u64) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT min(published_sequence) AS sequence FROM placements
         WHERE server_id = $1 AND applied_revision < wanted_revision AND published_sequence > 0
           AND (applied_revision < published_revision OR published_revision = 0)",
        [node.clone().into()],
    );
    let oldest = Oldest::find_by_statement(statement).one(db).await?;
    let pending = oldest.and_then(|oldest| oldest.sequence);
    let before = |sequence: i64| u64::try_from(sequence).unwrap_or_default().saturating_sub(1);
    Ok(pending.map_or(settled_upto, |sequence| Ord::min(before(sequence), settled_upto)))
}

#[derive(FromQueryResult)]
struct Noted {
    id: i64,
}

/// The node holds everything again: what it had applied counts again. The keys that it lost are noted before that.
pub(super) async fn end(db: &DatabaseConnection, node: &NodeId) -> Result<(), DbErr> {
    let mut after = 0;
    while let Some(last) = transact(db, |tx| async move { note_lost_keys(&tx, node, after).await }).await? {
        after = last;
    }
    server::Entity::update_many()
        .col_expr(server::Column::EmptiedAt, Expr::value(Option::<DateTime<Utc>>::None))
        .filter(server::Column::Name.eq(node.clone()))
        .filter(Expr::col(server::Column::EmptiedAt).is_not_null())
        .exec(db)
        .await
        .map(drop)
}

/// Takes placements in the order of their ids, beginning after `after`, and returns the last one.
async fn note_lost_keys(transaction: &DatabaseTransaction, node: &NodeId, after: i64) -> Result<Option<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "WITH lost AS MATERIALIZED (
             SELECT p.id FROM placements p JOIN servers s ON s.name = p.server_id
             WHERE p.server_id = $1 AND p.id > $2 AND p.role = 'home' AND p.wanted_present AND p.error IS NULL AND p.applied_at < s.emptied_at
               AND EXISTS (SELECT FROM credentials c WHERE c.user_id = p.user_id AND c.server_id = p.server_id AND c.revoked_at IS NULL)
             ORDER BY p.id LIMIT $3 FOR NO KEY UPDATE OF p)
         UPDATE placements p SET error = $4 FROM lost WHERE p.id = lost.id RETURNING p.id",
        [node.clone().into(), after.into(), BATCH.into(), KEY_LOST.into()],
    );
    let noted = Noted::find_by_statement(statement).all(transaction).await?;
    Ok(noted.into_iter().map(|noted| noted.id).max())
}
