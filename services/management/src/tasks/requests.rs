//! Answers requests of nodes, many at once.

use std::future::Future;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    ids::NodeId,
    payload::Payload,
    subjects::FromNode,
};
use vpnmanager_runtime::{contain::contain, error_chain::chain};

use crate::app::App;

/// The most requests that are answered at the same time.
const CONCURRENCY: usize = 64;

/// Answers each request with the result of `answer`. When that is `None` no answer is sent, and the node asks again.
pub(super) async fn serve<F, Fut>(
    app: App,
    subscriber: Subscriber,
    stop: CancellationToken,
    answer: F,
) -> anyhow::Result<()>
where
    F: Fn(App, NodeId, Bytes) -> Fut,
    Fut: Future<Output = Option<Bytes>>,
{
    subscriber
        .take_until(stop.cancelled_owned())
        .for_each_concurrent(CONCURRENCY, |message| serve_one(&app, message, &answer))
        .await;
    Ok(())
}

async fn serve_one<F, Fut>(app: &App, message: Message, answer: &F)
where
    F: Fn(App, NodeId, Bytes) -> Fut,
    Fut: Future<Output = Option<Bytes>>,
{
    let Some(reply) = message.reply else {
        debug!(subject = %message.subject, "Dropping a request without a reply subject");
        return;
    };
    let Some(subject) = FromNode::parse(&message.subject) else {
        return;
    };
    let node = subject.node();
    let answered = contain(
        "answering a request of a node",
        answer(app.clone(), node.clone(), message.payload),
    );
    let payload = match answered.await {
        Ok(Some(payload)) => payload,
        Ok(None) => return,
        Err(panicked) => {
            warn!(node.id = %node, error = %chain(&panicked), "Dropping a request");
            return;
        }
    };
    // The answer must not carry a reply subject: a node could direct it to another node's requests, which refuse messages without one.
    if let Err(error) = app.bus.client.publish(reply, payload).await {
        warn!(error = %chain(&error), "Sending an answer failed");
    }
}

/// Decodes a request. The node in its body, which `speaker` finds, must be the node of its subject.
pub(super) fn read<T>(node: &NodeId, payload: &[u8], speaker: fn(&T) -> &NodeId) -> Option<T>
where
    T: Payload,
{
    let read = Envelope::<T>::decode(payload).and_then(|envelope| {
        if speaker(&envelope.body) == node {
            Ok(envelope.body)
        } else {
            Err(DecodeError::ForeignNode)
        }
    });
    read.inspect_err(|error| warn!(node.id = %node, error = %chain(error), "Dropping an invalid request"))
        .ok()
}
