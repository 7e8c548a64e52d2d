//! Reports of sessions: from the journal to the bus. One that is sent twice changes nothing.

use std::time::Duration;

use async_nats::{
    connection::State,
    jetstream::{self, message::PublishMessage},
};
use vpnmanager_nats::{
    envelope::Envelope,
    sessions::{MOST_RECORDS, SessionReport},
    subjects,
};
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Schedule},
};

use crate::{
    coordination::reporting::Report,
    journal::{JournalError, UnreportedSession},
    shared::Shared,
};

/// When sessions are looked for unless somebody notes one.
pub const SCHEDULE: Schedule = Schedule {
    period: Duration::from_secs(30),
    backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
};
/// Records at once, of [`MOST_RECORDS`] in each message.
const BATCH: u32 = 500;

/// Sessions did not get through.
#[derive(Debug, thiserror::Error)]
pub enum SessionReportError {
    /// They could not be read, or it could not be noted that they are reported.
    #[error("reading unreported sessions failed")]
    Journal(#[from] JournalError),
    /// The bus is not connected.
    #[error("the bus is not connected, reports of sessions wait")]
    Away,
    /// The stream may not hold them yet.
    #[error("publishing a report of sessions failed")]
    Publish(#[from] jetstream::context::PublishError),
}

/// Publishes the oldest records that were not reported. A refused node keeps its sessions.
pub async fn publish_sessions(shared: Shared) -> Result<Next, SessionReportError> {
    if shared.readiness.refusal().is_some() {
        return Ok(Next::Idle);
    }
    let unreported = shared
        .journal
        .read(|records| records.unreported_sessions(BATCH))
        .await?;
    if unreported.is_empty() {
        return Ok(Next::Idle);
    }
    if shared.bus.connection_state() != State::Connected {
        return Err(SessionReportError::Away);
    }
    let attempt = shared.reporting.attempt();
    let published = publish(&shared, &unreported).await;
    published.inspect_err(|error| shared.reporting.failed(Report::Sessions, attempt, error))?;
    shared.reporting.taken(Report::Sessions);
    shared
        .journal
        .write(move |records| records.sessions_reported(&unreported))
        .await?;
    Ok(Next::Again)
}

/// Publishes these, and waits until the stream holds all of them.
async fn publish(shared: &Shared, unreported: &[UnreportedSession]) -> Result<(), jetstream::context::PublishError> {
    let mut in_flight = Vec::new();
    for unreported in unreported.chunks(MOST_RECORDS) {
        let report = SessionReport {
            node: shared.node.id.clone(),
            instance: shared.node.instance,
            records: unreported.iter().map(|session| session.record.clone()).collect(),
        };
        let message = PublishMessage::build().payload(Envelope::new(report).encode());
        let subject = subjects::sessions(&shared.node.id);
        in_flight.push(shared.jetstream.send_publish(subject, message).await?);
    }
    for pending in in_flight {
        pending.await?;
    }
    Ok(())
}
