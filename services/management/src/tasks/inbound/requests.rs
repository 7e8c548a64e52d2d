//! Answers requests of one node.

use std::future::Future;

use async_nats::Message;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use governor::DefaultDirectRateLimiter;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    ids::NodeId,
    payload::Payload,
};
use vpnmanager_runtime::{contain::contain, error_chain::chain, log_limit::LogLimit};

use super::shared::Shared;
use crate::app::App;

static INVALID: LogLimit = LogLimit::lines("a request of a node was invalid", 5);

/// The room for one kind of request of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lane {
    /// The most that wait; others are dropped, and the node asks again.
    pub(super) waiting: usize,
    /// The most that are answered at the same time.
    pub(super) at_once: usize,
}

impl Lane {
    pub(super) fn queue(self) -> (mpsc::Sender<Message>, mpsc::Receiver<Message>) {
        mpsc::channel(self.waiting)
    }
}

/// Answers the requests of `due` with the results of `answer`, not faster than `pace`, until its senders are gone. When the result is
/// `None` no answer is sent, and the node asks again.
pub(super) async fn serve<F, Fut>(
    shared: &Shared,
    node: &NodeId,
    due: &mut mpsc::Receiver<Message>,
    lane: Lane,
    pace: DefaultDirectRateLimiter,
    answer: F,
) where
    F: Fn(App, NodeId, Bytes) -> Fut,
    Fut: Future<Output = Option<Bytes>>,
{
    let (pace, answer) = (&pace, &answer);
    stream::poll_fn(|context| due.poll_recv(context))
        .for_each_concurrent(lane.at_once, async |message| {
            pace.until_ready().await;
            // The semaphore is never closed.
            let _seat = shared.seats.acquire().await;
            serve_one(&shared.app, node, message, answer).await;
        })
        .await;
}

async fn serve_one<F, Fut>(app: &App, node: &NodeId, message: Message, answer: &F)
where
    F: Fn(App, NodeId, Bytes) -> Fut,
    Fut: Future<Output = Option<Bytes>>,
{
    let Some(reply) = message.reply else {
        debug!(subject = %message.subject, "Dropping a request without a reply subject");
        return;
    };
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
    read.inspect_err(|error| {
        if let Some(times) = INVALID.admit() {
            warn!(times, node.id = %node, error = %chain(error), "Dropping an invalid request");
        }
    })
    .ok()
}
