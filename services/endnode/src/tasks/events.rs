//! Events: from the journal to the bus, in order, each once.

use std::time::Duration;

use async_nats::{
    connection::State,
    jetstream::{self, message::PublishMessage},
};
use vpnmanager_nats::{envelope::Envelope, subjects};
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Reconciler, Schedule},
};

use super::serving::Readiness;
use crate::{
    journal::{Journal, JournalError},
    node::Node,
};

const PERIOD: Duration = Duration::from_secs(30);
const BATCH: u32 = 100;

/// Publishes what the journal queued.
#[derive(Debug)]
pub struct EventOutbox {
    /// This node.
    pub node: Node,
    /// Where they wait.
    pub journal: Journal,
    /// Whether this node may speak.
    pub readiness: Readiness,
    /// The JetStream of this node.
    pub context: jetstream::Context,
}

/// Events did not get through.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// They could not be read or forgotten.
    #[error("reading queued events failed")]
    Journal(#[from] JournalError),
    /// The bus is not connected.
    #[error("the bus is not connected, events wait")]
    Away,
    /// The bus does not have them yet.
    #[error("publishing an event failed")]
    Publish(#[from] jetstream::context::PublishError),
}

impl EventOutbox {
    /// When it runs unless woken.
    pub fn schedule() -> Schedule {
        Schedule {
            period: PERIOD,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
        }
    }

    async fn publish(&self) -> Result<Next, OutboxError> {
        if self.readiness.refusal().is_some() {
            return Ok(Next::Idle);
        }
        let events = self.journal.read(|records| records.oldest_events(BATCH)).await?;
        if events.is_empty() {
            return Ok(Next::Idle);
        }
        if self.context.client().connection_state() != State::Connected {
            return Err(OutboxError::Away);
        }
        let mut in_flight = Vec::with_capacity(events.len());
        for (number, event) in events {
            let subject = subjects::event(&self.node.id, event.kind.name());
            let message = PublishMessage::build()
                .message_id(event.id.to_string())
                .payload(Envelope::new(event).encode());
            in_flight.push((number, self.context.send_publish(subject, message).await?));
        }
        let mut published = Vec::with_capacity(in_flight.len());
        for (number, pending) in in_flight {
            pending.await?;
            published.push(number);
        }
        self.journal
            .write(move |records| records.forget_events(&published))
            .await?;
        Ok(Next::Again)
    }
}

impl Reconciler for EventOutbox {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        Ok(self.publish().await?)
    }
}
