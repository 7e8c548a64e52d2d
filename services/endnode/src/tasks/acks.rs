//! Acks, many in flight at once. A command is settled only when the stream holds its ack.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, context::PublishError, message::PublishMessage};
use chrono::Utc;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tracing::{debug, warn};
use uuid::Uuid;
use vpnmanager_nats::{
    acks::{Ack, Outcome},
    delivery::Delivery,
    envelope::Envelope,
    ids::{Revision, UserKey},
    subjects,
};
use vpnmanager_runtime::{
    backoff::{Backoff, jittered},
    traces::{Kind, Span, TraceParent},
};

use crate::{
    coordination::{
        progress::Progress,
        reporting::{Report, Reporting},
    },
    metrics::figures::Figures,
    node::Node,
    shared::Shared,
};

/// The pause before a failed command is delivered again, by the number of its deliveries so far.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// As many commands as this may wait to be delivered again although they fail for long. The server has about a thousand under way at most, so
/// more of them would be in the way of all others.
const MOST_LASTING: usize = 200;

/// Publishes acks and settles commands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Acks {
    node: Node,
    jetstream: jetstream::Context,
    progress: Progress,
    reporting: Reporting,
    figures: Figures,
}

/// A command with its answer.
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
    /// The answer.
    pub outcome: Outcome,
    /// How long that is so, if it is a failure.
    pub failure: Failure,
}

/// How long a command fails that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It may succeed when it is delivered again.
    Passing,
    /// It fails until somebody changes something: so many of them are settled, and management publishes them again some minutes later.
    Lasting,
}

impl Acks {
    /// Acks of this node.
    pub fn new(shared: &Shared) -> Self {
        Self {
            node: shared.node.clone(),
            jetstream: shared.jetstream.clone(),
            progress: shared.progress.clone(),
            reporting: shared.reporting.clone(),
            figures: shared.figures.clone(),
        }
    }

    /// Publishes the acks, waits until the stream holds them, then settles the commands.
    /// A command whose ack fails is delivered again.
    pub async fn answer(&self, answered: Vec<Answered>) {
        let attempt = self.reporting.attempt();
        let mut in_flight = FuturesUnordered::new();
        for answered in answered {
            let span = Span::follow("publish ack", Kind::Producer, answered.traceparent.as_deref());
            let sent = self.publish(&answered, span.traceparent()).await;
            // Waited for all at once: each waits for seconds if the server was killed or its disk is full.
            in_flight.push(async move {
                let stored = match sent {
                    Ok(pending) => pending.await.map(drop),
                    Err(error) => Err(error),
                };
                drop(span);
                (answered, stored)
            });
        }
        while let Some((answered, stored)) = in_flight.next().await {
            match stored {
                Ok(()) => {
                    self.reporting.taken(Report::Acks);
                    self.figures.work.acked(&answered.outcome);
                    self.settle(answered).await;
                }
                Err(error) => {
                    self.reporting.failed(Report::Acks, attempt, &error);
                    debug!(user.key = %answered.user_key, error = %error, "An ack may not have arrived; the command is delivered again");
                    self.retry(answered.delivery).await;
                }
            }
        }
    }

    /// Settles a command without an ack: management has recorded that it is applied.
    pub async fn settle_recorded(&self, delivery: Delivery) {
        let sequence = delivery.sequence();
        if let Err(error) = delivery.done().await {
            debug!(error = %error, "A command could not be settled; it is delivered again");
        }
        self.progress.settled(sequence);
    }

    /// Has a command delivered again after a pause that grows with its deliveries.
    pub async fn retry(&self, delivery: Delivery) {
        let deliveries = u32::try_from(delivery.deliveries().max(1)).unwrap_or(u32::MAX);
        self.hand_back(delivery, jittered(RETRY.after(deliveries))).await;
    }

    /// Has a command delivered again after `pause`: nobody works on it any more.
    pub async fn hand_back(&self, delivery: Delivery, pause: Duration) {
        self.progress.handed_back(delivery.sequence(), pause, Instant::now());
        // When this fails the server delivers it again by itself, after the ack wait.
        if let Err(error) = delivery.retry(pause).await {
            debug!(error = %error, "A command could not be handed back");
        }
    }

    async fn publish(
        &self,
        answered: &Answered,
        trace: Option<TraceParent>,
    ) -> Result<jetstream::context::PublishAckFuture, PublishError> {
        let ack = Ack {
            node: self.node.id.clone(),
            instance: self.node.instance,
            user_key: answered.user_key,
            revision: answered.revision,
            outcome: answered.outcome.clone(),
            applied_at: Utc::now(),
        };
        let message = PublishMessage::build()
            .payload(Envelope::traced(ack, trace.map(|trace| trace.to_string())).encode())
            // A new id for each answer: a later delivery may have another answer, which must not be dropped as a duplicate.
            .message_id(Uuid::now_v7().to_string());
        self.jetstream
            .send_publish(subjects::ack(&self.node.id, answered.user_key), message)
            .await
    }

    async fn settle(&self, answered: Answered) {
        match &answered.outcome {
            Outcome::Applied { .. } | Outcome::Superseded { .. } => {}
            Outcome::Refused { error } => {
                warn!(user.key = %answered.user_key, command.revision = %answered.revision, error, "Refused a command");
            }
            Outcome::Failed { .. } => match answered.failure {
                Failure::Lasting if self.progress.unsettled() > MOST_LASTING => {}
                Failure::Lasting | Failure::Passing => return self.retry(answered.delivery).await,
            },
        }
        let sequence = answered.delivery.sequence();
        if let Err(error) = answered.delivery.done().await {
            debug!(user.key = %answered.user_key, error = %error, "A command could not be settled; it is delivered again");
        }
        self.progress.settled(sequence);
    }
}
