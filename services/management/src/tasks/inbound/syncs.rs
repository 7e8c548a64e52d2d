//! Answers the handshake of nodes: they say what they hold.

use bytes::Bytes;
use tracing::warn;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::NodeId,
    sync::{SyncReply, SyncRequest},
};
use vpnmanager_runtime::error_chain::chain;

use super::requests;
use crate::{app::App, ops::nodes::answer_sync::answer_sync};

pub(super) async fn answer(app: App, node: NodeId, payload: Bytes) -> Option<Bytes> {
    let request = requests::read(&node, &payload, |request: &SyncRequest| &request.node)?;
    match answer_sync(&app, &request).await {
        Ok(answer) => {
            let bus = Some(app.bus_place());
            Some(Envelope::new(SyncReply { answer, bus }).encode())
        }
        Err(error) => {
            warn!(node.id = %node, error = %chain(&error), "Answering a sync request failed");
            None
        }
    }
}
