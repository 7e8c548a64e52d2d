//! Notes an answer of a node that management does not take: in the log and, as far as the node has room, in the audit trail.

use vpnmanager_nats::{ids::NodeId, username::Username};
use vpnmanager_runtime::{error_chain::chain, log_limit::LogLimit};

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::Entry,
        audit_room::{Caused, record_caused},
        transact::transact,
    },
};

static UNFIT: LogLimit = LogLimit::lines("a node's answer was not taken", 5);
static UNRECORDED: LogLimit = LogLimit::new("an answer that was not taken could not be recorded");

/// Notes that the node answered a request about this user with what is not taken. `reason` must hold nothing of the answer.
pub async fn note_unfit_answer(app: &App, node: &NodeId, username: &Username, reason: &str) {
    if let Some(times) = UNFIT.admit() {
        tracing::warn!(node.id = %node, user.name = %username, reason, times, "A node's answer was not taken");
    }
    let caused = || Caused {
        by: node.clone(),
        action: AuditAction::NodeAnswerRefused,
        entry: Entry::new(&Actor::system(), AuditAction::NodeAnswerRefused, node)
            .about(username)
            .details(reason),
    };
    let recorded = transact(&app.db, |tx| async move { record_caused(&tx, [caused()]).await }).await;
    if let Err(error) = recorded
        && let Some(times) = UNRECORDED.admit()
    {
        tracing::warn!(
            node.id = %node,
            error = %chain(&error),
            times,
            "Recording an answer that was not taken failed"
        );
    }
}
