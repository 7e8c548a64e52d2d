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
    /// The place of the newest delivery.
    place: u64,
    /// The place of the newest delivery whose command is applied, as are those of all before it.
    handled: u64,
    /// During which handshake the consumer began anew. `None`: this run did not see that, or lacks a delivery since then.
    began: Option<u64>,
    /// By sequence.
    unsettled: HashMap<u64, Taken>,
    /// Sequences that came and were handed back without a look.
    untaken: HashSet<u64>,
}

/// A command that was taken and not settled.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// It was handed back, and should have come again by then.
    back_by: Option<Instant>,
}

impl Taken {
    fn is_lost(&self, now: Instant) -> bool {
        self.back_by.is_some_and(|back_by| back_by <= now)
    }
}

impl Inner {
    /// A delivery has come. When the consumer begins anew, what came before counts no more: each command comes again, and one that was replaced
    /// in the stream never comes and must not stand for another that is lost on its way.
    fn arrived(&mut self, place: u64) {
        if place == 1 || place <= self.place {
            self.highest = 0;
            self.seen.clear();
            self.unsettled.clear();
            self.untaken.clear();
            self.handled = 0;
            self.began = (place == 1).then_some(self.handshakes);
        } else if place != self.place + 1 {
            self.began = None;
        }
        self.place = place;
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

    /// Commands were taken from the stream: the sequence of each, and its place among the deliveries of the node's consumer.
    pub fn taken(&self, deliveries: impl IntoIterator<Item = (u64, u64)>) {
        let mut inner = self.inner();
        for (sequence, place) in deliveries {
            inner.arrived(place);
            inner.untaken.remove(&sequence);
            inner.unsettled.insert(sequence, Taken::default());
        }
    }

    /// Commands are applied, or set aside, up to the delivery with this place.
    pub fn handled(&self, place: u64) {
        self.inner().handled = place;
    }

    /// A command came and is handed back without a look.
    pub fn not_taken(&self, sequence: u64, place: u64) {
        let mut inner = self.inner();
        inner.arrived(place);
        inner.untaken.insert(sequence);
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

    /// Whether the node's consumer began anew during this handshake, and each of its deliveries is handled: up to the command with the sequence
    /// `upto`, and up to the place `delivered`, which is the newest that the server has given. What the server counts proves less: an ack that
    /// was sent before the consumer began anew settles a command there that is still on its way again.
    pub fn has_all_again(&self, upto: u64, delivered: u64) -> bool {
        let inner = self.inner();
        let is_whole = inner.began == Some(inner.handshakes) && inner.untaken.is_empty();
        upto == 0 || (is_whole && inner.highest >= upto && inner.handled >= delivered)
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

    /// Takes commands and journals them. Each is the sequence and the place.
    fn follow(progress: &Progress, deliveries: &[(u64, u64)]) {
        for (sequence, place) in deliveries {
            progress.taken([(*sequence, *place)]);
            progress.journaled(*sequence, [UserKey::new()]);
            progress.handled(*place);
        }
    }

    /// As chaos found it: 7 was handed back, because its profile could not be made, and a newer command of its user replaced it. That one
    /// was delivered and lost. With 7 in its place the node believed that everything had come, and removed the user.
    #[test]
    fn what_was_taken_before_a_rewind_stands_for_nothing_after_it() {
        let progress = Progress::default();
        progress.restart(Instant::now());
        follow(&progress, &[(7, 1), (8, 2)]);
        progress.restart(Instant::now());
        follow(&progress, &[(8, 3), (9, 4)]);
        assert_eq!((progress.unsettled(), progress.seen().len()), (3, 2));
        follow(&progress, &[(8, 1)]);
        assert_eq!((progress.unsettled(), progress.seen().len()), (1, 1));
    }

    /// As chaos found it: the agent had just started, took all commands during the handshake, and acked them. Management had the consumer begin
    /// anew meanwhile, and the acks settled the commands that were on their way again. The node removed everybody whose command it had not
    /// looked at yet.
    #[test]
    fn everything_came_again_when_each_delivery_since_the_beginning_was_taken() {
        let again = |deliveries: &[(u64, u64)]| {
            let progress = Progress::default();
            progress.restart(Instant::now());
            follow(&progress, deliveries);
            progress.has_all_again(9, deliveries.last().map_or(0, |last| last.1))
        };
        for (deliveries, expected) in [
            (&[(7, 1), (8, 2), (9, 3)][..], true),
            // An earlier run saw the beginning.
            (&[(7, 4), (8, 5), (9, 6)], false),
            (&[(7, 4), (8, 5), (9, 6), (7, 1)], false),
            (&[(7, 4), (8, 5), (9, 6), (7, 1), (8, 2), (9, 3)], true),
            // Lost on their way: one in the middle, the first.
            (&[(7, 1), (9, 3)], false),
            (&[(7, 4), (8, 5), (9, 6), (8, 2), (9, 3)], false),
            // A command that comes once more.
            (&[(7, 1), (8, 2), (8, 3), (9, 4)], true),
            (&[], false),
        ] {
            assert_eq!(again(deliveries), expected, "{deliveries:?}");
        }
        let progress = Progress::default();
        assert!(progress.has_all_again(0, 0), "there are no commands");
        follow(&progress, &[(7, 1), (8, 2), (9, 3)]);
        assert!(
            !progress.has_all_again(9, 4),
            "a newer command took the place of one of them"
        );
        progress.taken([(10, 4)]);
        assert!(!progress.has_all_again(9, 4), "it is not applied yet");
        progress.handled(4);
        assert!(progress.has_all_again(9, 4));
        progress.restart(Instant::now());
        assert!(!progress.has_all_again(9, 4), "that was before this handshake");
    }

    #[test]
    fn what_came_and_was_handed_back_without_a_look_has_to_come_again() {
        let progress = Progress::default();
        progress.restart(Instant::now());
        progress.not_taken(7, 1);
        follow(&progress, &[(8, 2), (9, 3)]);
        assert!(!progress.has_all_again(9, 3));
        follow(&progress, &[(7, 4)]);
        assert!(progress.has_all_again(9, 4));
    }

    /// The server may not have been told, as when it was just starting. Then the node waits for 7, and the server for the node.
    #[test]
    fn a_command_that_was_handed_back_and_does_not_come_again_counts_no_more() {
        let (progress, now) = (Progress::default(), Instant::now());
        let pause = Duration::from_millis(500);
        let later = now + pause + COMES_WITHIN;
        progress.restart(now);
        progress.taken([(7, 1), (8, 2), (9, 3)]);
        progress.handed_back(7, pause, now);
        progress.handed_back(8, pause, now);
        progress.restart(now + pause);
        assert!(!progress.lacks_some(now + pause));
        assert_eq!(progress.unsettled(), 3, "they wait for their pause");

        progress.taken([(8, 4)]);
        assert!(progress.lacks_some(later));
        progress.restart(later);
        assert_eq!(progress.unsettled(), 2, "8 came again, 9 is in work");
        assert!(!progress.lacks_some(later), "management is asked once");
    }
}
