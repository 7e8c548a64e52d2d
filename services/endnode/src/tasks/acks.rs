//! Acks, many in flight at once. A command is settled only when the stream holds its ack.

use std::time::Duration;

use async_nats::{
    Client,
    jetstream::{self, context::PublishError, message::PublishMessage},
};
use chrono::Utc;
use tracing::{debug, warn};
use uuid::Uuid;
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    delivery::Delivery,
    envelope::Envelope,
    ids::{Revision, UserKey},
    subjects,
    topology::NODE_API_PREFIX,
};
use vpnmanager_runtime::backoff::jittered;

use super::progress::Progress;
use crate::node::Node;

/// A failed command comes again after this, doubled with each delivery.
const SHORTEST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Publishes acks and settles commands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acks {
    node: Node,
    context: jetstream::Context,
    progress: Progress,
}

/// A command that was dealt with.
#[derive(Debug)]
pub struct Answered {
    /// Its delivery.
    pub delivery: Delivery,
    /// Its user.
    pub user_key: UserKey,
    /// Its revision.
    pub revision: Revision,
    /// The trace of what caused it.
    pub traceparent: Option<String>,
    /// What it came to.
    pub outcome: Outcome,
}

/// The JetStream of the node's account: requests go by the prefix that its imports have.
pub fn node_context(client: &Client) -> jetstream::Context {
    jetstream::context::ContextBuilder::new()
        .timeout(Duration::from_secs(5))
        .ack_timeout(Duration::from_secs(5))
        .max_ack_inflight(512)
        .api_prefix(NODE_API_PREFIX)
        .build(client.clone())
}

impl Acks {
    /// Acks of this node over this connection.
    pub fn new(node: Node, context: jetstream::Context, progress: Progress) -> Self {
        Self {
            node,
            context,
            progress,
        }
    }

    /// Publishes the acks, waits until the stream holds them, then settles the commands.
    /// What fails on the way comes again.
    pub async fn answer(&self, answered: Vec<Answered>) {
        let mut in_flight = Vec::with_capacity(answered.len());
        for answered in answered {
            let sent = self.publish(&answered).await;
            in_flight.push((answered, sent));
        }
        for (answered, sent) in in_flight {
            let stored = match sent {
                Ok(pending) => pending.await.map(drop),
                Err(error) => Err(error),
            };
            match stored {
                Ok(()) => self.settle(answered).await,
                Err(error) => {
                    debug!(user.key = %answered.user_key, error = %error, "An ack may not have arrived; the command comes again");
                    self.retry(answered.delivery).await;
                }
            }
        }
    }

    /// Lets a command come again after a while.
    pub async fn retry(&self, delivery: Delivery) {
        let doublings = u32::try_from(delivery.deliveries().clamp(1, 8) - 1).unwrap_or(0);
        let pause = LONGEST_RETRY.min(SHORTEST_RETRY * 2_u32.pow(doublings));
        self.hand_back(delivery, jittered(pause)).await;
    }

    /// Gives a command back that nobody works on any more.
    pub async fn hand_back(&self, delivery: Delivery, pause: Duration) {
        // The server gives it again by itself when it was not told.
        if let Err(error) = delivery.retry(pause).await {
            debug!(error = %error, "A command could not be handed back");
        }
    }

    async fn publish(&self, answered: &Answered) -> Result<jetstream::context::PublishAckFuture, PublishError> {
        let ack = Ack {
            node: self.node.id.clone(),
            instance: self.node.instance,
            user_key: answered.user_key,
            revision: answered.revision,
            outcome: answered.outcome.clone(),
            applied_at: Utc::now(),
        };
        let message = PublishMessage::build()
            .payload(Envelope::traced(ack, answered.traceparent.clone()).encode())
            // One for each answer: the answer to a later delivery may be another one and must not pass for a repetition.
            .message_id(Uuid::now_v7().to_string());
        self.context
            .send_publish(subjects::ack(&self.node.id, answered.user_key), message)
            .await
    }

    async fn settle(&self, answered: Answered) {
        match &answered.outcome {
            Outcome::Applied { .. } | Outcome::Superseded { .. } => {}
            Outcome::Refused { error } => {
                warn!(user.key = %answered.user_key, command.revision = %answered.revision, error, "Refused a command");
            }
            Outcome::Failed { .. } => return self.retry(answered.delivery).await,
        }
        let sequence = answered.delivery.sequence();
        if let Err(error) = answered.delivery.done().await {
            debug!(user.key = %answered.user_key, error = %error, "A command could not be settled; it comes again");
        }
        self.progress.settled(sequence);
    }
}
