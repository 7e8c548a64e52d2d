//! Up to where the audit trail is complete.
//!
//! PostgreSQL numbers an entry when it is written, and shows it when its transaction commits. So an entry with a smaller id may appear after one with
//! a larger id was read, or never, where its transaction was rolled back. Whoever remembers the highest id that it read would lose the late one.
//!
//! An entry gets its number within a statement that has locked the trail for writing, and keeps the lock until its transaction ends. So who may still
//! bring a missing id is known: the transactions that hold that lock at a moment after a larger id was seen. When none of them is left, what is
//! missing then will never come. Neither the time nor the numbers of transactions are asked: the first would be a guess, and the others begin anew
//! in a database that was restored.

use std::collections::HashSet;

/// Up to which id nothing can come any more.
#[derive(Debug)]
pub(crate) struct Tail {
    settled: i64,
    open: Option<Open>,
}

/// Ids that are missing.
#[derive(Debug)]
struct Open {
    /// An entry that was seen, beyond them.
    upto: i64,
    /// Who may still bring them.
    writers: HashSet<String>,
}

impl Tail {
    /// Everything up to this id is taken.
    pub(crate) fn after(settled: i64) -> Self {
        Self { settled, open: None }
    }

    /// Up to which id nothing can come any more.
    pub(crate) fn settled(&self) -> i64 {
        self.settled
    }

    /// Whether it is known who may still bring what is missing.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether somebody may still bring what is missing.
    pub(crate) fn awaits_writers(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.writers.is_empty())
    }

    /// These write at this moment. To be asked before the entries are read.
    pub(crate) fn still_write(&mut self, writers: &HashSet<String>) {
        if let Some(open) = &mut self.open {
            open.writers.retain(|writer| writers.contains(writer));
        }
    }

    /// Ids below this one, which was seen, are missing, and these write at a moment after it was.
    pub(crate) fn missing_below(&mut self, upto: i64, writers: HashSet<String>) {
        self.open = Some(Open { upto, writers });
    }

    /// Takes what is complete of the ids that were read: in their order, all that there are above [`Self::settled`], up to some length. Gives how many.
    pub(crate) fn take(&mut self, ids: &[i64]) -> usize {
        let nobody_left = |open: &&Open| open.writers.is_empty();
        let closed_upto = self.open.as_ref().filter(nobody_left).map(|open| open.upto);
        let mut taken = 0;
        for id in ids.iter().copied() {
            if let Some(upto) = closed_upto
                && id > upto
            {
                self.settled = self.settled.max(upto);
            }
            let is_next = id == self.settled + 1;
            if !is_next && closed_upto.is_none_or(|upto| id > upto) {
                break;
            }
            self.settled = id;
            taken += 1;
        }
        if self.open.as_ref().is_some_and(|open| open.upto <= self.settled) {
            self.open = None;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writers(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_follows_without_a_gap_is_taken_at_once() {
        let mut tail = Tail::after(4);
        assert_eq!((tail.take(&[5, 6, 7]), tail.settled()), (3, 7));
        assert!(!tail.is_open());
    }

    #[test]
    fn a_missing_id_is_awaited_as_long_as_somebody_may_bring_it() {
        let mut tail = Tail::after(4);
        assert_eq!((tail.take(&[6, 7]), tail.settled()), (0, 4));
        tail.missing_below(7, writers(&["a", "b"]));
        tail.still_write(&writers(&["b", "c"]));
        assert_eq!(tail.take(&[6, 7, 8]), 0, "b may bring it");
        assert_eq!((tail.take(&[5, 6, 7, 8]), tail.settled()), (4, 8), "it came");
        assert!(!tail.is_open());
    }

    #[test]
    fn what_nobody_brings_any_more_is_passed_and_what_came_later_is_judged_anew() {
        let mut tail = Tail::after(4);
        tail.missing_below(7, writers(&["a"]));
        tail.still_write(&writers(&["c"]));
        assert!(tail.is_open() && !tail.awaits_writers());
        assert_eq!((tail.take(&[7, 9]), tail.settled()), (1, 7), "8 may be c's");
        assert!(!tail.is_open());
    }

    #[test]
    fn what_did_not_fit_into_one_reading_is_not_passed() {
        let mut tail = Tail::after(4);
        tail.missing_below(9, writers(&[]));
        assert_eq!((tail.take(&[5, 6]), tail.settled()), (2, 6));
        assert!(tail.is_open());
        assert_eq!((tail.take(&[8, 9, 10]), tail.settled()), (3, 10));
    }
}
