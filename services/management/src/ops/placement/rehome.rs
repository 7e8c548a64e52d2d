//! Gives users another home when their home has been lost for long.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, FromQueryResult, Statement};
use serde_json::json;
use tracing::info;
use vpnmanager_entities::server;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, placement::Heirs},
    ops::{
        audit::{self, Entry},
        placement::{
            choose_homes::{Move, choose_homes},
            hand_over::{hand_over, tally},
            read_fleet::read_fleet,
        },
        publications::make_due::Urgency,
        transact::transact,
    },
};

/// Users moved in one transaction.
const BATCH: i64 = 500;

/// The result of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rehomed {
    /// Users that got another home.
    pub users: usize,
    /// Whether there may be more such users.
    pub more: bool,
}

/// Moves up to 500 users whose home [is given up](crate::domain::placement::Fleet::is_given_up) after that time and who have a standby
/// that [is fit](crate::domain::placement::Fleet::is_heir). All replicas may run this at the same time: each takes other rows. The users
/// keep their new home when the old one returns.
pub async fn rehome_users(app: &App, after: Duration) -> Result<Rehomed, DbErr> {
    let lost_before = app.clock.now() - after;
    let moves = transact(&app.db, |tx| async move { rehome_within(&tx, lost_before).await }).await?;
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

async fn rehome_within(transaction: &DatabaseTransaction, lost_before: DateTime<Utc>) -> Result<Vec<Move>, DbErr> {
    let fleet = read_fleet(transaction).await?;
    let names = |fits: &dyn Fn(&server::Model) -> bool| -> Vec<String> {
        let fitting = fleet.servers().iter().filter(|server| fits(server));
        fitting.map(|server| server.name.to_string()).collect()
    };
    let given_up = names(&|server| fleet.is_given_up(server, lost_before));
    let heirs = names(&|server| fleet.is_heir(server));
    if given_up.is_empty() || heirs.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Statement::from_sql_and_values(
        transaction.get_database_backend(),
        "SELECT u.id FROM users u
         WHERE u.removed_at IS NULL AND u.server_id = ANY($1)
           AND EXISTS (SELECT FROM placements p
                       WHERE p.user_id = u.id AND p.wanted_present AND p.server_id <> u.server_id AND p.server_id = ANY($2))
         ORDER BY u.id LIMIT $3 FOR NO KEY UPDATE OF u SKIP LOCKED",
        [given_up.into(), heirs.into(), BATCH.into()],
    );
    let users = UserId::find_by_statement(statement).all(transaction).await?;
    let ids: Vec<i64> = users.into_iter().map(|user| user.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let moves = choose_homes(transaction, &ids, Heirs::Fit).await?;
    hand_over(transaction, &moves, Urgency::Ordinary).await?;
    let entries = moves.iter().map(|change| {
        Entry::new(&Actor::system(), AuditAction::UserRehomed, &change.to)
            .about(&change.username)
            .details(format!("its home {} is lost", change.from))
            .before(json!({ "server_id": change.from }))
            .after(json!({ "server_id": change.to }))
    });
    audit::record_all(transaction, entries).await?;
    Ok(moves)
}
