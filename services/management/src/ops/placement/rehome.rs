//! Handing the homes of nodes that are lost for good, as far as anybody can tell, to standbys.

use std::time::Duration;

use chrono::Utc;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, Statement,
};
use serde_json::json;
use tracing::info;
use vpnmanager_entities::audit_log;

use crate::domain::actor::Actor;
use crate::ops::{
    audit::Entry,
    placement::hand_over::{FIT, Heirs, Move, choose, hand_over, tally},
    transact::transact,
};

/// Users moved in one transaction.
const BATCH: i64 = 500;

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rehomed {
    /// Users that got another home.
    pub users: usize,
    /// Whether there may be more.
    pub more: bool,
}

/// Moves up to 500 users whose home is lost for longer than `after` and who have a standby that is fit to be one. Safe in all
/// replicas: each takes other rows. Homes stay where they are put, also when the old one returns.
///
/// # Errors
/// When the database does not take it.
pub async fn rehome_users(db: &DatabaseConnection, after: Duration) -> Result<Rehomed, DbErr> {
    let moves = transact(db, |tx| async move { rehome_within(&tx, after).await }).await?;
    if !moves.is_empty() {
        info!(users = moves.len(), homes = ?tally(&moves), "Users of a lost node got another home");
    }
    Ok(Rehomed {
        users: moves.len(),
        more: moves.len() == usize::try_from(BATCH).unwrap_or(usize::MAX),
    })
}

#[derive(FromQueryResult)]
struct UserId {
    id: i64,
}

async fn rehome_within(transaction: &DatabaseTransaction, after: Duration) -> Result<Vec<Move>, DbErr> {
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        format!(
            "SELECT u.id FROM users u
             WHERE u.removed_at IS NULL
               AND u.server_id = ANY (ARRAY(SELECT name FROM servers WHERE state = 'lost' AND lost_since < $1))
               AND EXISTS (SELECT FROM placements p JOIN servers s ON s.name = p.server_id
                           WHERE p.user_id = u.id AND p.wanted_present AND p.server_id <> u.server_id AND {FIT})
             ORDER BY u.id LIMIT $2 FOR NO KEY UPDATE OF u SKIP LOCKED"
        ),
        [(Utc::now() - after).into(), BATCH.into()],
    );
    let users = UserId::find_by_statement(statement).all(transaction).await?;
    let ids: Vec<i64> = users.into_iter().map(|user| user.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let moves = choose(transaction, &ids, Heirs::Fit).await?;
    hand_over(transaction, &moves).await?;
    if moves.is_empty() {
        return Ok(moves);
    }
    let rows = moves.iter().map(|change| {
        let entry = Entry {
            actor: &Actor::system(),
            action: "user_rehomed",
            username: Some(change.username.clone()),
            server_id: change.to.clone(),
            details: Some(format!("its home {} is lost", change.from)),
            before: Some(json!({ "server_id": change.from })),
            after: Some(json!({ "server_id": change.to })),
        };
        entry.into_row()
    });
    audit_log::Entity::insert_many(rows)
        .exec_without_returning(transaction)
        .await?;
    Ok(moves)
}
