//! Changes the state of a node, once.

use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, Func},
};
use serde_json::json;
use tracing::{error, info, warn};
use vpnmanager_entities::server::{self, NodeState};
use vpnmanager_nats::ids::NodeId;

use crate::{
    domain::{actor::Actor, audit_action::AuditAction, health::Assessment},
    ops::audit::Entry,
};

/// A change of a node's state.
#[derive(Debug, Clone, Copy)]
pub struct Transition<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// The expected current state; if the node is in another state, nothing is changed.
    pub from: NodeState,
    /// The new state and its reason.
    pub to: &'a Assessment,
    /// When the change happened.
    pub at: DateTime<Utc>,
    /// Where the cause is, as far as is known.
    pub cause: Cause,
}

/// Where the cause of a change likely is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// In the node.
    Node,
    /// In what nodes share: an alarm of its own says so, and nobody must look at each node.
    Shared,
}

/// Updates the state and its reason. If the state itself changed, gives the audit entry, which the caller records. This is a
/// compare-and-set: only one of several replicas makes the change.
pub async fn change_state(
    transaction: &DatabaseTransaction,
    transition: Transition<'_>,
) -> Result<Option<Entry>, DbErr> {
    let Transition {
        node,
        from,
        to,
        at,
        cause,
    } = transition;
    let mut update = server::Entity::update_many()
        .col_expr(server::Column::StateReason, Expr::value(to.reason.clone()))
        .filter(server::Column::Name.eq(node.clone()))
        .filter(server::Column::State.eq(from));
    if from != to.state {
        update = update
            .col_expr(server::Column::State, Expr::value(to.state))
            .col_expr(server::Column::StateSince, Expr::value(at.trunc_subsecs(6)));
    }
    if to.state == NodeState::Lost {
        let since = Func::coalesce([Expr::col(server::Column::LostSince), Expr::value(at.trunc_subsecs(6))]);
        update = update.col_expr(server::Column::LostSince, since.into());
    }
    let changed = update.exec(transaction).await?.rows_affected;
    if changed == 0 || from == to.state {
        return Ok(None);
    }
    let (from_word, to_word, reason) = (from.as_str(), to.state.as_str(), &to.reason);
    match to.state {
        NodeState::Lost if cause == Cause::Shared => {
            warn!(node.id = %node, from = from_word, to = to_word, reason, "A node is lost, as all others are")
        }
        NodeState::Lost => {
            error!(node.id = %node, from = from_word, to = to_word, reason, "A node is lost: its clients move to others")
        }
        NodeState::Stale | NodeState::Degraded => {
            warn!(node.id = %node, from = from_word, to = to_word, reason, "A node needs attention")
        }
        NodeState::Enrolled | NodeState::Healthy => {
            info!(node.id = %node, from = from_word, to = to_word, reason, "A node changed its state")
        }
    }
    let mut entry = Entry::new(&Actor::system(), AuditAction::NodeStateChanged, node)
        .before(json!({ "state": from }))
        .after(json!({ "state": to.state }));
    if let Some(reason) = &to.reason {
        entry = entry.details(reason);
    }
    Ok(Some(entry))
}
