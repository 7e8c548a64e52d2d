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
    /// How many handshakes have begun.
    handshakes: u64,
    /// The sequences, and during which handshake each was taken last.
    unsettled: HashMap<u64, u64>,
}

impl Progress {
    /// A handshake begins: commands are counted anew, because management may answer by sending all of them again.
    pub fn restart(&self) {
        let mut inner = self.inner();
        inner.highest = 0;
        inner.recorded_upto = 0;
        inner.handshakes += 1;
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
        let mut inner = self.inner();
        let handshake = inner.handshakes;
        inner
            .unsettled
            .extend(sequences.into_iter().map(|sequence| (sequence, handshake)));
    }

    /// Everything is delivered again, and what was taken before this handshake is counted when it comes. One that was replaced in the stream
    /// never comes, and must not stand for another that was lost on its way.
    pub fn rewound(&self) {
        let mut inner = self.inner();
        let handshake = inner.handshakes;
        inner.unsettled.retain(|_, taken| *taken == handshake);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As chaos found it: 7 was handed back, because its profile could not be made, and a newer command of its user replaced it. That one
    /// was delivered and lost. With 7 in its place the node believed that everything had come, and removed the user.
    #[test]
    fn what_was_taken_before_a_rewind_stands_for_nothing_after_it() {
        let progress = Progress::default();
        progress.restart();
        progress.taken([7, 8]);
        progress.restart();
        progress.taken([8, 9]);
        assert_eq!(progress.unsettled(), 3);
        progress.rewound();
        assert_eq!(progress.unsettled(), 2);
        progress.settled(8);
        progress.settled(9);
        assert_eq!(progress.unsettled(), 0);
    }
}
