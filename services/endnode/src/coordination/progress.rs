//! How far this run followed the commands. From it the handshake knows whether the journal is complete.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_nats::ids::UserKey;

/// Shared between the commands and the handshake. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    highest: u64,
    recorded_upto: u64,
    seen: HashSet<UserKey>,
    unsettled: HashSet<u64>,
}

impl Progress {
    /// A handshake begins: commands are counted anew, because management may answer by sending all of them again.
    pub fn restart(&self) {
        let mut inner = self.inner();
        inner.highest = 0;
        inner.recorded_upto = 0;
        inner.seen.clear();
    }

    /// Management has recorded that commands up to this sequence were applied by a journal that was lost.
    pub fn set_recorded_upto(&self, sequence: u64) {
        self.inner().recorded_upto = sequence;
    }

    /// Whether management has recorded that the command with this sequence was applied.
    pub fn is_recorded(&self, sequence: u64) -> bool {
        sequence <= self.inner().recorded_upto
    }

    /// Commands with these sequences were taken from the stream.
    pub fn taken(&self, sequences: impl IntoIterator<Item = u64>) {
        self.inner().unsettled.extend(sequences);
    }

    /// A command was settled and is not delivered again.
    pub fn settled(&self, sequence: u64) {
        self.inner().unsettled.remove(&sequence);
    }

    /// Commands about these users are about to be journaled.
    pub fn coming(&self, users: impl IntoIterator<Item = UserKey>) {
        self.inner().seen.extend(users);
    }

    /// Commands are journaled.
    pub fn journaled(&self, sequence: u64, users: impl IntoIterator<Item = UserKey>) {
        let mut inner = self.inner();
        inner.highest = inner.highest.max(sequence);
        inner.seen.extend(users);
    }

    /// The highest sequence journaled since the handshake began.
    pub fn highest(&self) -> u64 {
        self.inner().highest
    }

    /// Commands that this run has taken and not settled, those included that are delivered again.
    pub fn unsettled(&self) -> usize {
        self.inner().unsettled.len()
    }

    /// Users that came since the handshake began.
    pub fn seen(&self) -> HashSet<UserKey> {
        self.inner().seen.clone()
    }

    /// A panic while it is open leaves it as good as before.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
