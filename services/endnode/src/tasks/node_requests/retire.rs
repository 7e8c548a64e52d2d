//! `retire`: this node was deregistered and must not serve any more.

use vpnmanager_nats::node_requests::NodeAnswer;

use crate::{journal::JournalError, shared::Shared};

pub(super) async fn answer(shared: &Shared, reason: &str) -> Result<NodeAnswer, JournalError> {
    shared.readiness.retire(&shared.journal, reason).await?;
    Ok(NodeAnswer::Done)
}
