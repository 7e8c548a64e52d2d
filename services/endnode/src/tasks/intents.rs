//! Intents: local requests on their way to management, in the order they were made.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{Client, connection::State};
use chrono::Utc;
use tokio::sync::oneshot;
use tracing::{info, warn};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    ids::IntentId,
    intents::{IntentAnswer, IntentRefusal},
    subjects,
};
use vpnmanager_runtime::{
    backoff::Backoff,
    reconcile::{Next, Reconciler, Schedule},
};

use super::serving::Readiness;
use crate::{
    apply::{Applier, ApplyError},
    journal::{Journal, JournalError, QueuedIntent},
    node::Node,
};

const PERIOD: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Carries intents to management.
#[derive(Debug)]
pub struct IntentOutbox {
    /// This node.
    pub node: Node,
    /// Where they wait.
    pub journal: Journal,
    /// Takes back a local delete that management refuses.
    pub applier: Applier,
    /// Whether this node may speak.
    pub readiness: Readiness,
    /// The way to management.
    pub bus: Client,
    /// Who waits for the answer.
    pub waiters: IntentWaiters,
}

/// Callers of the local API that wait for management's answer. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct IntentWaiters {
    inner: Arc<Mutex<HashMap<IntentId, oneshot::Sender<IntentAnswer>>>>,
}

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
    /// It asks to come back later.
    #[error("management cannot take intents at this moment")]
    Unavailable,
    /// A refused delete could not be taken back.
    #[error("taking back a local delete failed")]
    Restore(#[from] ApplyError),
}

impl IntentWaiters {
    /// Waits for the answer to this intent. Ask before it is queued.
    pub fn wait_for(&self, id: IntentId) -> oneshot::Receiver<IntentAnswer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.inner();
        waiters.retain(|_, waiter| !waiter.is_closed());
        waiters.insert(id, sender);
        receiver
    }

    fn tell(&self, id: IntentId, answer: IntentAnswer) {
        let waiter = self.inner().remove(&id);
        if let Some(waiter) = waiter {
            // A caller that left does not need its answer.
            let _gone = waiter.send(answer);
        }
    }

    /// A panic while it is open leaves it as good as before.
    fn inner(&self) -> MutexGuard<'_, HashMap<IntentId, oneshot::Sender<IntentAnswer>>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IntentOutbox {
    /// When it runs unless woken.
    pub fn schedule() -> Schedule {
        Schedule {
            period: PERIOD,
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
        }
    }

    async fn carry(&self) -> Result<Next, IntentError> {
        if self.readiness.refusal().is_some() {
            return Ok(Next::Idle);
        }
        let Some(queued) = self.journal.read(|records| records.next_intent()).await? else {
            return Ok(Next::Idle);
        };
        let id = queued.intent.id;
        if self.bus.connection_state() != State::Connected {
            return Err(IntentError::Away);
        }
        // Counted before it is sent: whoever wants to take it back must know that it may have arrived.
        self.journal.write(move |records| records.attempt_intent(id)).await?;
        let answer = self.ask(&queued).await?;
        match &answer {
            IntentAnswer::Accepted { user_key, .. } => {
                info!(intent.id = %id, user.key = %user_key, "Management accepted a local request");
                self.journal.write(move |records| records.forget_intent(id)).await?;
            }
            IntentAnswer::Refused { reason, detail } => {
                warn!(intent.id = %id, reason = ?reason, detail, "Management refused a local request");
                self.refused(id, *reason, detail.clone()).await?;
            }
            IntentAnswer::Unavailable => return Err(IntentError::Unavailable),
        }
        self.waiters.tell(id, answer);
        Ok(Next::Again)
    }

    async fn ask(&self, queued: &QueuedIntent) -> Result<IntentAnswer, IntentError> {
        let question = Envelope::new(queued.intent.clone()).encode();
        let request = async_nats::Request::new()
            .payload(question)
            .timeout(Some(REQUEST_TIMEOUT));
        let reply = self.bus.send_request(subjects::intent(&self.node.id), request).await?;
        Ok(Envelope::<IntentAnswer>::decode(&reply.payload)?.body)
    }

    async fn refused(&self, id: IntentId, reason: IntentRefusal, detail: String) -> Result<(), IntentError> {
        match reason {
            // Nobody is there to be let in again; the tombstone or the sweep takes the rest.
            IntentRefusal::UnknownUser => {}
            IntentRefusal::UsernameTaken | IntentRefusal::Expiry | IntentRefusal::NodeUnavailable => {
                self.applier.restore(id).await?;
            }
        }
        Ok(self
            .journal
            .write(move |records| records.refuse_intent(id, &detail, Utc::now()))
            .await?)
    }
}

impl Reconciler for IntentOutbox {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        Ok(self.carry().await?)
    }
}
