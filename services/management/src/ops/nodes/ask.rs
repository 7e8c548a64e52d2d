//! Asking a node something over the bus.

use async_nats::{RequestErrorKind, client::RequestError};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    ids::NodeId,
    node_requests::{NodeAnswer, NodeRequest},
    subjects,
};

use crate::app::App;

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskNodeError {
    /// It is away.
    #[error("the node cannot be reached")]
    Unreachable,
    /// The question could not be asked.
    #[error("the node could not be asked")]
    Request(#[source] RequestError),
    /// The answer was not understood.
    #[error("the node's answer is not understood")]
    Answer(#[source] DecodeError),
}

/// One question and its answer.
pub async fn ask_node(app: &App, node: &NodeId, request: NodeRequest) -> Result<NodeAnswer, AskNodeError> {
    let subject = subjects::node_request(node, request.verb());
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
