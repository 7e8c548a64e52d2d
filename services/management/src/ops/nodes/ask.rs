//! Sends a request to a node over the bus.

use async_nats::{RequestErrorKind, client::RequestError};
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

/// Sends one request and waits for the answer.
pub async fn ask_node(app: &App, node: &NodeId, request: NodeRequest) -> Result<NodeAnswer, AskNodeError> {
    let subject = subjects::node_request(node, &request);
    let asked = app.bus.client.request(subject, Envelope::new(request).encode());
    let answer = asked.await.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => AskNodeError::Unreachable,
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
            AskNodeError::Request(error)
        }
    })?;
    Envelope::<NodeAnswer>::decode(&answer.payload)
        .map(|envelope| envelope.body)
        .map_err(AskNodeError::Answer)
}
