//! Performs a step of a rollout, in the transaction that decided it.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, DatabaseTransaction, DbErr, IntoActiveModel as _};
use tracing::{info, warn};
use vpnmanager_entities::{
    rollout,
    rollout_node::{self, RolloutNodeState},
};
use vpnmanager_nats::ids::NodeId;

use super::{End, end, skip, undrain};
use crate::{
    app::App,
    domain::{
        actor::Actor,
        rollout::{NodeStep, Step},
    },
    ops::{
        asker::AskedFor as _,
        nodes::change::{ChangeNodeError, NodeChange, record_change},
    },
};

/// What a step did.
#[derive(Debug)]
pub(super) struct Performed {
    /// Whether it wrote anything: then another step may come next.
    pub(super) wrote: bool,
    /// Whether a drain began or ended with it: then clients are to be moved, or may come back.
    pub(super) moves_clients: bool,
    /// What is to be asked once this is committed.
    pub(super) asks: Option<Ask>,
}

impl Performed {
    /// There was nothing to be done.
    pub(super) const NOTHING: Self = Self {
        wrote: false,
        moves_clients: false,
        asks: None,
    };

    /// It wrote something, and that was all.
    const NOTED: Self = Self {
        wrote: true,
        moves_clients: false,
        asks: None,
    };
}

/// What the agent of a node is to be asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Whether it would restart OpenVPN.
    Whether(NodeId),
    /// To restart it.
    ToRestart(NodeId),
}

/// What a step leads to.
enum Outcome {
    /// The rollout goes on.
    GoesOn(Performed),
    /// It ends.
    Ends(End),
}

/// Performs it.
pub(super) async fn perform(
    transaction: &DatabaseTransaction,
    app: &App,
    (job, nodes): (rollout::Model, Vec<rollout_node::Model>),
    (step, now): (Step, DateTime<Utc>),
) -> Result<Performed, DbErr> {
    let actor = job.asker();
    let outcome = match step {
        Step::Node(id, step) => {
            let Some(node) = nodes.into_iter().find(|node| node.server_id == id) else {
                return Ok(Performed::NOTHING);
            };
            with_node(transaction, &actor, node, (step, now)).await?
        }
        Step::Fail(why) => Outcome::Ends(End::failed(why, now)),
        Step::End(state) => Outcome::Ends(End {
            state,
            detail: None,
            now,
        }),
    };
    let how = match outcome {
        Outcome::GoesOn(performed) => return Ok(performed),
        Outcome::Ends(how) => how,
    };
    if let Some(why) = &how.detail {
        warn!(rollout.id = job.id, rollout.pool = %job.pool, why, "A rollout failed");
    }
    end(transaction, app, (&actor, job), how).await?;
    Ok(Performed::NOTED)
}

async fn with_node(
    transaction: &DatabaseTransaction,
    actor: &Actor,
    node: rollout_node::Model,
    (step, now): (NodeStep, DateTime<Utc>),
) -> Result<Outcome, DbErr> {
    let id = node.server_id.clone();
    let mut row = node.clone().into_active_model();
    let mut performed = Performed::NOTED;
    match step {
        NodeStep::Wait { sessions_left } => {
            if node.sessions_left == sessions_left {
                return Ok(Outcome::GoesOn(Performed::NOTHING));
            }
            row.sessions_left = Set(sessions_left);
        }
        NodeStep::HoldUp(why) => {
            if node.held_up_since.is_some() && node.detail.as_ref() == Some(&why) {
                return Ok(Outcome::GoesOn(Performed::NOTHING));
            }
            row.held_up_since = Set(node.held_up_since.or(Some(now)));
            row.detail = Set(Some(why));
        }
        NodeStep::Skip(why) => {
            info!(node.id = %id, why, "A rollout leaves a node out");
            performed.moves_clients = skip(transaction, actor, node, (why, now)).await?;
            return Ok(Outcome::GoesOn(performed));
        }
        NodeStep::AskWhether => {
            return Ok(Outcome::GoesOn(Performed {
                asks: Some(Ask::Whether(id)),
                ..Performed::NOTHING
            }));
        }
        NodeStep::Drain => {
            match record_change(transaction, actor, &id, NodeChange::Drain).await {
                Ok(()) => {}
                // It was changed since it was looked at: the next look says what that means.
                Err(ChangeNodeError::UnknownServer | ChangeNodeError::NowhereToGo) => {
                    return Ok(Outcome::GoesOn(Performed::NOTHING));
                }
                Err(ChangeNodeError::Database(error)) => return Err(error),
            }
            begin(&mut row, (RolloutNodeState::Draining, now));
            row.drained = Set(true);
            performed.moves_clients = true;
        }
        NodeStep::TakeBack(why) => {
            info!(node.id = %id, why, "A rollout ends the drain of a node, which waits for its turn again");
            performed.moves_clients = undrain(transaction, actor, &node).await?;
            begin(&mut row, (RolloutNodeState::Waiting, now));
            row.drained = Set(false);
            row.held_up_since = Set(Some(now));
            row.detail = Set(Some(why));
        }
        NodeStep::Restart { openvpn_pid } => {
            begin(&mut row, (RolloutNodeState::Restarting, now));
            performed.asks = Some(asks_to_restart(&mut row, (id, openvpn_pid), now));
        }
        NodeStep::AskAgain { openvpn_pid } => {
            performed.asks = Some(asks_to_restart(&mut row, (id, openvpn_pid), now));
        }
        NodeStep::Finish => {
            performed.moves_clients = undrain(transaction, actor, &node).await?;
            begin(&mut row, (RolloutNodeState::Done, now));
        }
        NodeStep::Fail(why) => {
            begin(&mut row, (RolloutNodeState::Failed, now));
            row.detail = Set(Some(why.clone()));
            row.update(transaction).await?;
            return Ok(Outcome::Ends(End::failed(why, now)));
        }
    }
    row.update(transaction).await?;
    Ok(Outcome::GoesOn(performed))
}

/// Its agent is asked to restart the OpenVPN with this process id.
fn asks_to_restart(
    row: &mut rollout_node::ActiveModel,
    (node, openvpn_pid): (NodeId, Option<i64>),
    now: DateTime<Utc>,
) -> Ask {
    row.openvpn_pid = Set(openvpn_pid);
    row.asked_at = Set(Some(now));
    Ask::ToRestart(node)
}

/// It has this state from now on.
fn begin(row: &mut rollout_node::ActiveModel, (state, now): (RolloutNodeState, DateTime<Utc>)) {
    row.state = Set(state);
    row.since = Set(now);
    row.sessions_left = Set(None);
    row.detail = Set(None);
    row.held_up_since = Set(None);
}
