//! Intents: local requests on their way to management, in the order they were made.

use std::time::Duration;

use async_nats::connection::State;
use chrono::Utc;
use tracing::{info, warn};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    ids::IntentId,
    intents::{IntentAnswer, IntentRefusal},
    subjects,
};
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Schedule},
};

use crate::{
    apply::ApplyError,
    journal::{JournalError, QueuedIntent},
    shared::Shared,
};

/// When intents are looked for unless somebody queues one.
pub const SCHEDULE: Schedule = Schedule {
    period: Duration::from_secs(30),
    backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
};
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// An intent did not get through.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    /// The queue could not be read or written.
    #[error("reading queued intents failed")]
    Journal(#[from] JournalError),
    /// Management did not answer.
    #[error("management did not answer an intent")]
    Request(#[from] async_nats::RequestError),
    /// Its answer cannot be read.
    #[error("management's answer to an intent cannot be read")]
    Answer(#[from] DecodeError),
    /// The bus is not connected.
    #[error("the bus is not connected, local requests wait")]
    Away,
    /// It asks for another try later.
    #[error("management cannot take intents at this moment")]
    Unavailable,
    /// A refused delete could not be taken back.
    #[error("taking back a local delete failed")]
    Restore(#[from] ApplyError),
}

/// Carries the oldest intent to management and acts on the answer. A refused node keeps its intents.
pub async fn carry_intents(shared: Shared) -> Result<Next, IntentError> {
    if shared.readiness.refusal().is_some() {
        return Ok(Next::Idle);
    }
    let Some(queued) = shared.journal.read(|records| records.next_intent()).await? else {
        return Ok(Next::Idle);
    };
    let id = queued.intent.id;
    if shared.bus.connection_state() != State::Connected {
        return Err(IntentError::Away);
    }
    // Counted before it is sent: a create that may have arrived can no longer be cancelled here.
    shared.journal.write(move |records| records.attempt_intent(id)).await?;
    let answer = ask(&shared, &queued).await?;
    match &answer {
        IntentAnswer::Accepted { user_key, .. } => {
            info!(intent.id = %id, user.key = %user_key, "Management accepted a local request");
            shared.journal.write(move |records| records.forget_intent(id)).await?;
        }
        IntentAnswer::Refused { reason, detail } => {
            warn!(intent.id = %id, reason = ?reason, detail, "Management refused a local request");
            take_back(&shared, id, *reason, detail.clone()).await?;
        }
        IntentAnswer::Unavailable => return Err(IntentError::Unavailable),
    }
    shared.waiters.tell(id, answer);
    Ok(Next::Again)
}

async fn ask(shared: &Shared, queued: &QueuedIntent) -> Result<IntentAnswer, IntentError> {
    let question = Envelope::new(queued.intent.clone()).encode();
    let request = async_nats::Request::new()
        .payload(question)
        .timeout(Some(REQUEST_TIMEOUT));
    let subject = subjects::intent(&shared.node.id);
    let reply = shared.bus.send_request(subject, request).await?;
    Ok(Envelope::<IntentAnswer>::decode(&reply.payload)?.body)
}

/// Undoes what a refused request did here, and keeps the refusal to be seen.
async fn take_back(shared: &Shared, id: IntentId, reason: IntentRefusal, detail: String) -> Result<(), IntentError> {
    match reason {
        // There is no user to let in again; the tombstone or the sweep removes what is left.
        IntentRefusal::UnknownUser => {}
        IntentRefusal::UsernameTaken | IntentRefusal::Expiry | IntentRefusal::NodeUnavailable => {
            shared.applier.restore(id).await?;
        }
    }
    Ok(shared
        .journal
        .write(move |records| records.refuse_intent(id, &detail, Utc::now()))
        .await?)
}
