//! How far this run followed the commands. From it the handshake knows whether the journal is complete.

use std::{
    collections::{HashMap, HashSet},
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
    /// The sequences, with the user of each command that could be read.
    unsettled: HashMap<u64, Option<UserKey>>,
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
        let taken = sequences.into_iter().map(|sequence| (sequence, None));
        self.inner().unsettled.extend(taken);
    }

    /// The command with this sequence, which was taken, is about this user.
    pub fn is_about(&self, sequence: u64, user: UserKey) {
        self.inner().unsettled.insert(sequence, Some(user));
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

    /// Users that came since the handshake began, and those of whom a command is not settled: a newer one may have been lost on its way, and
    /// then nothing of them came.
    pub fn known(&self) -> HashSet<UserKey> {
        let inner = self.inner();
        let unsettled = inner.unsettled.values().flatten();
        inner.seen.iter().chain(unsettled).copied().collect()
    }

    /// A panic while it is open leaves it as good as before.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_command_that_is_not_settled_is_known() {
        let (progress, alice, bob) = (Progress::default(), UserKey::new(), UserKey::new());
        progress.taken([1, 2]);
        progress.is_about(1, alice);
        progress.is_about(2, bob);
        progress.settled(2);
        progress.restart();
        assert_eq!(progress.known(), HashSet::from([alice]));
        progress.coming([bob]);
        assert_eq!(progress.known(), HashSet::from([alice, bob]));
        progress.settled(1);
        assert_eq!((progress.known(), progress.unsettled()), (HashSet::from([bob]), 0));
    }
}
