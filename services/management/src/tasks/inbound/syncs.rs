//! Answers the handshake of nodes: they say what they hold.

use bytes::Bytes;
use tracing::warn;
use vpnmanager_nats::{envelope::Envelope, ids::NodeId, sync::SyncRequest};
use vpnmanager_runtime::error_chain::chain;

use super::requests;
use crate::{app::App, ops::nodes::answer_sync::reply_to_sync};

pub(super) async fn answer(app: App, node: NodeId, payload: Bytes) -> Option<Bytes> {
    let request = requests::read(&node, &payload, |request: &SyncRequest| &request.node)?;
    match reply_to_sync(&app, &request).await {
        Ok(reply) => Some(Envelope::new(reply).encode()),
        Err(error) => {
            warn!(node.id = %node, error = %chain(&error), "Answering a sync request failed");
            None
        }
    }
}
