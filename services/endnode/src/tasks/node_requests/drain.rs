//! `drain`: moving clients to their next servers, or letting them stay again.

use vpnmanager_nats::node_requests::NodeAnswer;

use crate::{journal::JournalError, shared::Shared};

/// `pace` is the number of clients to move in one second, or `None` to let them stay. It is journaled first, so that the next run of
/// the agent goes on with it.
pub(super) async fn answer(shared: &Shared, pace: Option<u32>) -> Result<NodeAnswer, JournalError> {
    if shared.draining.pace() != pace {
        shared
            .journal
            .write(move |records| records.set_drain_pace(pace))
            .await?;
        shared.draining.set(pace);
    }
    shared.node.wakes.heartbeat.wake();
    Ok(NodeAnswer::Done)
}
