//! How far this run followed the commands. From it the handshake knows whether the journal is complete.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use vpnmanager_nats::ids::UserKey;

/// A command that was handed back comes again so long after its pause, or the server was not told: it had just started, for example.
const COMES_WITHIN: Duration = Duration::from_secs(5);

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
    /// By sequence.
    unsettled: HashMap<u64, Taken>,
}

/// A command that was taken and not settled.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// During which handshake it was taken last.
    handshake: u64,
    /// It was handed back, and should have come again by then.
    back_by: Option<Instant>,
}

impl Taken {
    fn is_lost(&self, now: Instant) -> bool {
        self.back_by.is_some_and(|back_by| back_by <= now)
    }
}

impl Progress {
    /// A handshake begins: commands are counted anew, because management may answer by sending all of them again. One that did not come again
    /// counts no more, so that management has the server give it at once.
    pub fn restart(&self, now: Instant) {
        let mut inner = self.inner();
        inner.unsettled.retain(|_, taken| !taken.is_lost(now));
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
        let taken = Taken {
            handshake,
            back_by: None,
        };
        inner
            .unsettled
            .extend(sequences.into_iter().map(|sequence| (sequence, taken)));
    }

    /// A command was handed back, to come again after `pause`.
    pub fn handed_back(&self, sequence: u64, pause: Duration, now: Instant) {
        if let Some(taken) = self.inner().unsettled.get_mut(&sequence) {
            taken.back_by = now.checked_add(pause + COMES_WITHIN);
        }
    }

    /// Whether a command that was handed back did not come again.
    pub fn lacks_some(&self, now: Instant) -> bool {
        self.inner().unsettled.values().any(|taken| taken.is_lost(now))
    }

    /// Everything is delivered again, and what was taken before this handshake is counted when it comes. One that was replaced in the stream
    /// never comes, and must not stand for another that was lost on its way.
    pub fn rewound(&self) {
        let mut inner = self.inner();
        let handshake = inner.handshakes;
        inner.unsettled.retain(|_, taken| taken.handshake == handshake);
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

    /// Commands that this run has taken and not settled, those included that wait to be delivered again.
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
        progress.restart(Instant::now());
        progress.taken([7, 8]);
        progress.restart(Instant::now());
        progress.taken([8, 9]);
        assert_eq!(progress.unsettled(), 3);
        progress.rewound();
        assert_eq!(progress.unsettled(), 2);
        progress.settled(8);
        progress.settled(9);
        assert_eq!(progress.unsettled(), 0);
    }

    /// The server may not have been told, as when it was just starting. Then the node waits for 7, and the server for the node.
    #[test]
    fn a_command_that_was_handed_back_and_does_not_come_again_counts_no_more() {
        let (progress, now) = (Progress::default(), Instant::now());
        let pause = Duration::from_millis(500);
        let later = now + pause + COMES_WITHIN;
        progress.restart(now);
        progress.taken([7, 8, 9]);
        progress.handed_back(7, pause, now);
        progress.handed_back(8, pause, now);
        progress.restart(now + pause);
        assert!(!progress.lacks_some(now + pause));
        assert_eq!(progress.unsettled(), 3, "they wait for their pause");

        progress.taken([8]);
        assert!(progress.lacks_some(later));
        progress.restart(later);
        assert_eq!(progress.unsettled(), 2, "8 came again, 9 is in work");
        assert!(!progress.lacks_some(later), "management is asked once");
    }
}
