//! Who waits for management's answer to a local request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;
use vpnmanager_nats::{ids::IntentId, intents::IntentAnswer};

/// Callers of the local API that wait for management's answer. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct IntentWaiters {
    inner: Arc<Mutex<HashMap<IntentId, oneshot::Sender<IntentAnswer>>>>,
}

impl IntentWaiters {
    /// Receives the answer to this intent. Call it before the intent is queued.
    pub fn wait_for(&self, id: IntentId) -> oneshot::Receiver<IntentAnswer> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.inner();
        waiters.retain(|_, waiter| !waiter.is_closed());
        waiters.insert(id, sender);
        receiver
    }

    /// Gives a caller its answer, if one still waits.
    pub fn tell(&self, id: IntentId, answer: IntentAnswer) {
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
