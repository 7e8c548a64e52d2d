//! Events: from the journal to the bus, in order. One that is sent twice is recorded once, by its id.

use std::time::Duration;

use async_nats::{
    connection::State,
    jetstream::{self, message::PublishMessage},
};
use vpnmanager_nats::{envelope::Envelope, events::Event, subjects};
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Schedule},
};

use crate::{coordination::reporting::Report, journal::JournalError, shared::Shared};

/// When events are looked for unless somebody queues one.
pub const SCHEDULE: Schedule = Schedule {
    period: Duration::from_secs(30),
    backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
};
const BATCH: u32 = 100;

/// Events did not get through.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// They could not be read or forgotten.
    #[error("reading queued events failed")]
    Journal(#[from] JournalError),
    /// The bus is not connected.
    #[error("the bus is not connected, events wait")]
    Away,
    /// The stream may not hold them yet.
    #[error("publishing an event failed")]
    Publish(#[from] jetstream::context::PublishError),
}

/// Publishes the oldest events that the journal queued. A refused node keeps its events.
pub async fn publish_events(shared: Shared) -> Result<Next, OutboxError> {
    if shared.readiness.refusal().is_some() {
        return Ok(Next::Idle);
    }
    let events = shared.journal.read(|records| records.oldest_events(BATCH)).await?;
    if events.is_empty() {
        return Ok(Next::Idle);
    }
    if shared.bus.connection_state() != State::Connected {
        return Err(OutboxError::Away);
    }
    let attempt = shared.reporting.attempt();
    let published = publish(&shared, events).await;
    let published = published.inspect_err(|error| shared.reporting.failed(Report::Events, attempt, error))?;
    shared.reporting.taken(Report::Events);
    shared
        .journal
        .write(move |records| records.forget_events(&published))
        .await?;
    Ok(Next::Again)
}

/// Publishes these, and gives the numbers of what the stream holds: all of them.
async fn publish(shared: &Shared, events: Vec<(i64, Event)>) -> Result<Vec<i64>, jetstream::context::PublishError> {
    let mut in_flight = Vec::with_capacity(events.len());
    for (number, event) in events {
        let subject = subjects::event(&shared.node.id, event.kind.name());
        let message = PublishMessage::build()
            .message_id(event.id.to_string())
            .payload(Envelope::new(event).encode());
        in_flight.push((number, shared.jetstream.send_publish(subject, message).await?));
    }
    let mut published = Vec::with_capacity(in_flight.len());
    for (number, pending) in in_flight {
        pending.await?;
        published.push(number);
    }
    Ok(published)
}
