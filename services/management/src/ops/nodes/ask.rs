//! Sends a request to a node over the bus.

use std::time::Duration;

use async_nats::{Client, RequestErrorKind, client::RequestError};
use tokio::time::timeout;
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
    subjects,
};

use crate::app::App;

/// Why there is no answer from a node.
#[derive(Debug, thiserror::Error)]
pub enum AskNodeError {
    /// The node is away, or answers too late.
    #[error("the node cannot be reached")]
    Unreachable,
    /// The request could not be sent.
    #[error("sending the request to the node failed")]
    Request(#[source] RequestError),
    /// The answer could not be decoded.
    #[error("decoding the node's answer failed")]
    Answer(#[source] DecodeError),
}

/// An answer that takes longer is asked for once more. The server loses the answers that are on their way when the nodes' account is
/// updated (measured); every request may be repeated.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Sends one request and waits for the answer, about seven seconds at most.
pub async fn ask_node(app: &App, node: &NodeId, request: NodeRequest) -> Result<NodeAnswer, AskNodeError> {
    ask_over(&app.bus.client, node, request).await
}

/// The same over this connection.
pub async fn ask_over(client: &Client, node: &NodeId, request: NodeRequest) -> Result<NodeAnswer, AskNodeError> {
    let subject = subjects::node_request(node, &request);
    let payload = Envelope::new(request).encode();
    let ask = || client.request(subject.clone(), payload.clone());
    let asked = match timeout(ASK_AGAIN_AFTER, ask()).await {
        Ok(asked) => asked,
        Err(_elapsed) => ask().await,
    };
    let answer = asked.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => AskNodeError::Unreachable,
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
            AskNodeError::Request(error)
        }
    })?;
    Envelope::<NodeAnswer>::decode(&answer.payload)
        .map(|envelope| envelope.body)
        .map_err(AskNodeError::Answer)
}
