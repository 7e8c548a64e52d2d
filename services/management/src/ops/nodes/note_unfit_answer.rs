//! Notes an answer of a node that management does not take: one warning and one audit row a minute for each node.

use std::time::Instant;

use tracing::warn;
use vpnmanager_nats::{ids::NodeId, username::Username};
use vpnmanager_runtime::error_chain::chain;

use crate::{
    app::App,
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        audit::{self, Entry},
        transact::transact,
    },
};

/// Notes that the node answered a request about this user with what is not taken. `reason` must hold nothing of the answer.
pub async fn note_unfit_answer(app: &App, node: &NodeId, username: &Username, reason: &str) {
    if !app.unfit_answers.is_due(node, Instant::now()) {
        return;
    }
    warn!(node.id = %node, user.name = %username, reason, "A node's answer was not taken");
    let entry = || {
        Entry::new(&Actor::system(), AuditAction::NodeAnswerRefused, node)
            .about(username)
            .details(reason)
    };
    let recorded = transact(&app.db, |tx| async move { audit::record_one(&tx, entry()).await });
    if let Err(error) = recorded.await {
        warn!(node.id = %node, error = %chain(&error), "Recording an answer that was not taken failed");
    }
}
