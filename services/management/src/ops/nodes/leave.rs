//! The way of a node out of the fleet, or into another pool. Its users leave it some at a time, because whoever ends the access of one of them
//! must not wait until all have left; then its row goes, or gets the other pool. Whoever asked for it does this, and a background task goes on
//! where the one who asked has died.

use std::time::Duration;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, QuerySelect, Statement,
    sea_query::{Expr, ExprTrait},
};
use vpnmanager_entities::{placement, server, user};
use vpnmanager_nats::{ids::NodeId, topology::TopologyError};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction, placement::Heirs},
    ops::{
        audit::{self, Entry, node_snapshot},
        busy::Busy,
        in_turn::transact_on_fleet,
        nodes::{one_at_a_time::one_at_a_time, request_handshakes::request_one},
        placement::{choose_homes::choose_homes, hand_over::hand_over, withdraw::withdraw_some},
        publications::make_due::{Urgency, want_newest},
        transact::transact,
        users::end_removals::end_removals,
    },
};

/// Placements that are deleted in one transaction.
const BATCH: i64 = 500;
/// Users whom somebody else is changing are looked at again after this.
const LOCKED_FOR: Duration = Duration::from_millis(50);

/// How the way of a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It has left, or it stays after all.
    Ended,
    /// It stays in its pool, where no other node takes its users.
    Blocked,
}

/// Why a node has not left the fleet yet. The background task tries again.
#[derive(Debug, thiserror::Error)]
pub enum LeaveFleetError {
    /// Its commands are still in the stream; it cannot read them, because its key is revoked.
    #[error("removing the node's commands failed")]
    Topology(#[from] TopologyError),
    /// The database failed.
    #[error("taking the users off the node failed")]
    Database(#[from] DbErr),
}

/// Takes all users off a node that was deregistered, then its commands off the bus, and then deletes its row: whoever fails in the middle finds
/// it again.
pub async fn leave_fleet(app: &App, node: &NodeId) -> Result<(), LeaveFleetError> {
    if take_users_off(app, node).await? == Step::Stays {
        return Ok(());
    }
    app.topology.remove_node(node).await?;
    finish(app, node).await?;
    Ok(())
}

/// Takes all users off a node that moves to another pool, and moves it.
pub async fn leave_pool(app: &App, node: &NodeId) -> Result<Way, DbErr> {
    match take_users_off(app, node).await? {
        Step::Stays => Ok(Way::Ended),
        Step::Some | Step::None | Step::Blocked => finish(app, node).await,
    }
}

/// Takes users off the node until none is found whom nobody else is changing, and few are left; gives the last step. Where somebody else takes
/// them off the same node, each finds those locked that the other one has.
async fn take_users_off(app: &App, node: &NodeId) -> Result<Step, DbErr> {
    loop {
        let step = transact(&app.db, |tx| async move {
            step(&tx, node, &app.config.server_id, Busy::LeaveOut).await
        })
        .await?;
        app.wake_publishers();
        match step {
            Step::Some => {}
            Step::None if are_many_left(&app.db, node).await? => tokio::time::sleep(LOCKED_FOR).await,
            Step::None | Step::Stays | Step::Blocked => return Ok(step),
        }
    }
}

/// Whether more users are on the node than one transaction should take off it.
async fn are_many_left(db: &impl ConnectionTrait, node: &NodeId) -> Result<bool, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT user_id AS id FROM placements WHERE server_id = $1 AND wanted_present OFFSET $2 LIMIT 1",
        [node.clone().into(), BATCH.into()],
    );
    Ok(Id::find_by_statement(statement).one(db).await?.is_some())
}

async fn finish(app: &App, node: &NodeId) -> Result<Way, DbErr> {
    let way = transact_on_fleet(app, |tx| async move { end(&tx, node, &app.config.server_id).await }).await?;
    app.wake_publishers();
    app.placer.wake();
    Ok(way)
}

/// The nodes that are on their way.
pub async fn find_leaving(db: &impl ConnectionTrait) -> Result<Vec<server::Model>, DbErr> {
    server::Entity::find()
        .filter(server::Column::LeavingSince.is_not_null())
        .all(db)
        .await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Some users have left; there may be more.
    Some,
    /// There was nobody to take off it.
    None,
    /// The node is gone, or stays.
    Stays,
    /// No other node takes the users.
    Blocked,
}

async fn step(transaction: &DatabaseTransaction, node: &NodeId, recorder: &str, busy: Busy) -> Result<Step, DbErr> {
    let found = server::Entity::find_by_name(node.clone()).one(transaction).await?;
    let Some(server) = found.filter(|server| server.leaving_since.is_some()) else {
        return Ok(Step::Stays);
    };
    let users = if server.is_deregistered() {
        Some(forget_some(transaction, node, recorder, busy).await?)
    } else {
        withdraw_some(transaction, &server, busy).await?
    };
    Ok(match users {
        Some(0) => Step::None,
        Some(_) => Step::Some,
        None => Step::Blocked,
    })
}

/// Takes the rest of the users off the node, and then deletes its row or moves it.
async fn end(transaction: &DatabaseTransaction, node: &NodeId, recorder: &str) -> Result<Way, DbErr> {
    one_at_a_time(transaction).await?;
    let found = server::Entity::find_by_name(node.clone())
        .lock_exclusive()
        .one(transaction)
        .await?;
    let Some(server) = found else {
        return Ok(Way::Ended);
    };
    loop {
        match step(transaction, node, recorder, Busy::Await).await? {
            Step::Some => {}
            Step::None => break,
            Step::Stays => return Ok(Way::Ended),
            Step::Blocked => {
                stay(transaction, server).await?;
                return Ok(Way::Blocked);
            }
        }
    }
    if server.is_deregistered() {
        move_homes(transaction, node).await?;
        keep_pool(transaction, &server).await?;
        server::Entity::delete_by_id(server.id).exec(transaction).await?;
        forget_totals(transaction, node).await?;
        return Ok(Way::Ended);
    }
    let pool = server.leaving_for.clone().unwrap_or_else(|| server.pool.clone());
    // What its agent is configured for is compared anew at its next handshake.
    let asked = server.asked_pool.clone().filter(|asked| *asked != pool);
    let mut row = server.into_active_model();
    row.pool = Set(pool);
    row.asked_pool = Set(asked);
    row.leaving_since = Set(None);
    row.leaving_for = Set(None);
    row.update(transaction).await?;
    // The other pool has another network.
    request_one(transaction, node).await?;
    Ok(Way::Ended)
}

/// Ends the move of a node: those of its users that have left come back where they lack a node.
async fn stay(transaction: &DatabaseTransaction, server: server::Model) -> Result<(), DbErr> {
    let entry = Entry::new(&Actor::system(), AuditAction::NodeMoved, &server.name)
        .details("it stays: no other server of its pool takes its users any more")
        .after(node_snapshot(&server));
    let mut row = server.into_active_model();
    row.leaving_since = Set(None);
    row.leaving_for = Set(None);
    row.update(transaction).await?;
    audit::record_one(transaction, entry).await
}

/// Deletes some of the node's placements, and gives how many users those were. Each user whose home it was gets one of its standbys as home,
/// if possible one that [`may_inherit`](crate::domain::placement::may_inherit).
async fn forget_some(
    transaction: &DatabaseTransaction,
    node: &NodeId,
    recorder: &str,
    busy: Busy,
) -> Result<usize, DbErr> {
    // Every change locks users before placements, and in the order of their ids, so there is no deadlock.
    let users = format!(
        "SELECT id FROM users WHERE id IN (SELECT user_id FROM placements WHERE server_id = $1 LIMIT {BATCH})
         ORDER BY id FOR UPDATE {}",
        busy.sql()
    );
    let placed = ids(transaction, users, [node.clone().into()]).await?;
    if placed.is_empty() {
        return Ok(0);
    }
    // In the order in which the publisher records them: no deadlock with it either. Another one who goes on with this node may have taken some
    // of these users off it since they were looked up.
    let placements = "SELECT user_id AS id FROM placements WHERE server_id = $1 AND user_id = ANY($2) ORDER BY placements.id FOR UPDATE";
    let found = placed.len();
    let placed = ids(transaction, placements.to_owned(), [node.clone().into(), placed.into()]).await?;
    placement::Entity::delete_many()
        .filter(placement::Column::ServerId.eq(node.clone()))
        .filter(placement::Column::UserId.eq_any(placed.clone()))
        .exec(transaction)
        .await?;
    user::Entity::update_many()
        .col_expr(user::Column::Revision, Expr::col(user::Column::Revision).add(1))
        .col_expr(user::Column::Synced, Expr::value(false))
        .filter(user::Column::Id.eq_any(placed.clone()))
        .filter(user::Column::RemovedAt.is_null())
        .exec(transaction)
        .await?;
    end_removals(transaction, &placed, recorder).await?;
    let homed = "SELECT id FROM users WHERE id = ANY($2) AND server_id = $1 AND removed_at IS NULL ORDER BY id";
    let homed = ids(
        transaction,
        homed.to_owned(),
        [node.clone().into(), placed.clone().into()],
    )
    .await?;
    let moves = choose_homes(transaction, &homed, Heirs::Any).await?;
    hand_over(transaction, &moves, Urgency::Ordinary).await?;
    want_newest(transaction, &placed, Urgency::Ordinary).await?;
    Ok(found)
}

/// Gives users whose home the node is, but whom it does not hold, another home.
async fn move_homes(transaction: &DatabaseTransaction, node: &NodeId) -> Result<(), DbErr> {
    let homed = "SELECT id FROM users u WHERE server_id = $1 AND removed_at IS NULL
                   AND EXISTS (SELECT FROM placements p WHERE p.user_id = u.id AND p.wanted_present) ORDER BY id FOR UPDATE";
    let homed = ids(transaction, homed.to_owned(), [node.clone().into()]).await?;
    let moves = choose_homes(transaction, &homed, Heirs::Any).await?;
    hand_over(transaction, &moves, Urgency::Ordinary).await
}

/// Users that no other node holds stay in their pool, and wait for a node of it.
async fn keep_pool(transaction: &DatabaseTransaction, server: &server::Model) -> Result<(), DbErr> {
    user::Entity::update_many()
        .col_expr(user::Column::FormerPool, Expr::value(server.pool.clone()))
        .filter(user::Column::ServerId.eq(server.name.clone()))
        .filter(user::Column::RemovedAt.is_null())
        .exec(transaction)
        .await
        .map(drop)
}

#[derive(FromQueryResult)]
struct Id {
    id: i64,
}

async fn ids<const N: usize>(
    transaction: &DatabaseTransaction,
    sql: String,
    values: [sea_orm::Value; N],
) -> Result<Vec<i64>, DbErr> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    let found = Id::find_by_statement(statement).all(transaction).await?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// Deletes what was counted of a node without placements. Changes first: one that is being added to the totals now is waited for.
async fn forget_totals(transaction: &DatabaseTransaction, node: &NodeId) -> Result<(), DbErr> {
    for table in ["node_total_changes", "node_totals"] {
        let statement = Statement::from_sql_and_values(
            transaction.get_database_backend(),
            format!("DELETE FROM {table} WHERE server_id = $1"),
            [node.clone().into()],
        );
        transaction.execute_raw(statement).await?;
    }
    Ok(())
}
