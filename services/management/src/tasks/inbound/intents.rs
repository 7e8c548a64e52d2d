//! Carries out the requests of local APIs: what an operator asked a node to do.

use bytes::Bytes;
use tracing::warn;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::NodeId,
    intents::{Intent, IntentAnswer},
};
use vpnmanager_runtime::error_chain::chain;

use super::requests;
use crate::{app::App, ops::users::accept_intent};

pub(super) async fn answer(app: App, node: NodeId, payload: Bytes) -> Option<Bytes> {
    let intent = requests::read(&node, &payload, |intent: &Intent| &intent.node)?;
    let answer = accept_intent::accept(&app, &intent).await.unwrap_or_else(|error| {
        warn!(node.id = %node, error = %chain(&error), "Recording a local request failed");
        IntentAnswer::Unavailable
    });
    Some(Envelope::new(answer).encode())
}
