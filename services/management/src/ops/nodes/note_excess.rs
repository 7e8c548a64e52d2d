//! Records that a node sends more than its budget, and cuts it off the bus.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait},
};
use serde_json::json;
use vpnmanager_entities::server;
use vpnmanager_nats::ids::NodeId;

use crate::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// More than a budget.
#[derive(Debug)]
pub struct Excess<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// What it sent too much of, for people.
    pub what: String,
    /// How long it is to be cut off the bus; `None` when it is only degraded.
    pub cut_off_for: Option<Duration>,
}

/// Records the excess. Returns whether the node is to be cut off now: then
/// [`enforce`](crate::bus_access::BusAccess::enforce) does it. Of several replicas one cuts it off, and the audit trail gets one entry.
pub async fn note_excess(db: &DatabaseConnection, excess: &Excess<'_>) -> Result<bool, DbErr> {
    transact(db, |tx| async move { note_within(&tx, excess).await }).await
}

async fn note_within(transaction: &DatabaseTransaction, excess: &Excess<'_>) -> Result<bool, DbErr> {
    let now = Utc::now().trunc_subsecs(6);
    server::Entity::update_many()
        .col_expr(server::Column::OverBudgetAt, Expr::value(now))
        .col_expr(server::Column::OverBudget, Expr::value(excess.what.clone()))
        .filter(server::Column::Name.eq(excess.node.clone()))
        .exec(transaction)
        .await?;
    let Some(cut_off_for) = excess.cut_off_for else {
        return Ok(false);
    };
    let until = now + cut_off_for;
    let free = Expr::col(server::Column::CutOffUntil).is_null();
    let cut_off = server::Entity::update_many()
        .col_expr(server::Column::CutOffUntil, Expr::value(until))
        .filter(server::Column::Name.eq(excess.node.clone()))
        .filter(free.or(Expr::col(server::Column::CutOffUntil).lt(now)))
        .exec(transaction)
        .await?;
    if cut_off.rows_affected == 0 {
        return Ok(false);
    }
    let entry = Entry::new(&Actor::system(), AuditAction::NodeCutOff, excess.node)
        .details(&excess.what)
        .after(json!({ "cut_off_until": until }));
    audit::record_one(transaction, entry).await?;
    Ok(true)
}

/// The nodes that are cut off at `now`, with their keys and until when.
pub async fn cut_off(db: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<Vec<server::Model>, DbErr> {
    server::Entity::find()
        .filter(server::COLUMN.cut_off_until.gt(now))
        .all(db)
        .await
}

/// When the first of the nodes that are cut off may come back; `None` if none is.
pub async fn next_release(db: &impl ConnectionTrait) -> Result<Option<DateTime<Utc>>, DbErr> {
    let cut_off = cut_off(db, Utc::now()).await?;
    Ok(cut_off.into_iter().filter_map(|server| server.cut_off_until).min())
}
