//! Asks the agent of a node whether it would restart OpenVPN, and to restart it, and records what it says to that.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait as _, IntoActiveModel as _,
};
use tracing::{debug, info, warn};
use vpnmanager_entities::rollout_node::{self, RolloutNodeState};
use vpnmanager_nats::{
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest, NotDone, UNKNOWN_RESTART},
};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use super::{locked_running, skip};
use crate::{
    app::App,
    domain::{audit_action::AuditAction, rollout::Willing},
    ops::{
        asker::AskedFor as _,
        audit::{self, Entry},
        database_now::database_now,
        in_turn::transact_on_fleet,
        nodes::{
            ask::{AskNodeError, ask_node},
            one_at_a_time::one_at_a_time,
        },
    },
};

static UNASKED: LogLimit = LogLimit::lines("asking a node to restart its OpenVPN failed", 5);

/// Asks whether it would restart OpenVPN, so that nobody is moved for an agent that does not. Nothing is recorded.
pub(super) async fn ask_whether(app: &App, node: &NodeId) -> Willing {
    ask(app, node, NodeRequest::RestartServer { only_ask: true }).await
}

/// Asks to restart it, and records the answer. While the restart goes on, asking again changes nothing. After it, OpenVPN is restarted once more:
/// of the node that was drained nobody is on it, unless the time for its drain was over.
pub(super) async fn ask_to_restart(app: &App, rollout: i64, node: &NodeId) -> Result<(), DbErr> {
    let said = &ask(app, node, NodeRequest::RestartServer { only_ask: false }).await;
    let moves_clients =
        transact_on_fleet(app, |tx| async move { record(&tx, rollout, node, said.clone()).await }).await?;
    if moves_clients {
        app.wake_of_drains();
    }
    Ok(())
}

async fn ask(app: &App, node: &NodeId, request: NodeRequest) -> Willing {
    let answer = ask_node(app, node, request).await;
    match answer.map(NodeAnswer::into_done) {
        Ok(Ok(())) => Willing::Yes,
        Ok(Err(NotDone::Failed(error))) if error.contains(UNKNOWN_RESTART) => {
            Willing::No("its agent is too old: update it".to_owned())
        }
        Ok(Err(refused @ (NotDone::Failed(_) | NotDone::OtherAnswer))) => Willing::No(refused.to_string()),
        Err(AskNodeError::Unreachable) => {
            debug!(node.id = %node, "A node that should restart its OpenVPN is away, trying again");
            Willing::Silent
        }
        Err(error @ (AskNodeError::Request(_) | AskNodeError::Answer(_))) => {
            if let Some(times) = UNASKED.admit() {
                warn!(node.id = %node, error = %chain(&error), times, "Asking a node to restart its OpenVPN failed, trying again");
            }
            Willing::Silent
        }
    }
}

/// Gives whether that moves clients, because the drain of the node ended with it. No answer changes nothing: when the node was asked is recorded, so it
/// is asked again in time.
async fn record(transaction: &DatabaseTransaction, rollout: i64, node: &NodeId, said: Willing) -> Result<bool, DbErr> {
    one_at_a_time(transaction).await?;
    let Some(job) = locked_running(transaction, rollout).await? else {
        return Ok(false);
    };
    let found = rollout_node::Entity::find_by_id((rollout, node.clone()))
        .one(transaction)
        .await?;
    let is_asked = |row: &rollout_node::Model| row.state == RolloutNodeState::Restarting;
    let Some(row) = found.filter(is_asked) else {
        return Ok(false);
    };
    let now = database_now(transaction).await?;
    let actor = job.asker();
    match said {
        Willing::Yes => {
            info!(node.id = %node, "A node restarts its OpenVPN");
            let mut row = row.into_active_model();
            row.begun_at = Set(Some(now));
            row.update(transaction).await?;
            let entry = Entry::new(&actor, AuditAction::NodeRestarted, node)
                .details(format!("in the rollout {} of the pool {}", job.id, job.pool));
            audit::record_one(transaction, entry).await?;
            Ok(false)
        }
        Willing::No(why) => {
            info!(node.id = %node, why, "A rollout leaves a node out");
            skip(transaction, &actor, row, (why, now)).await
        }
        Willing::Silent => Ok(false),
    }
}
