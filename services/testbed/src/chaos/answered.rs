//! What was answered of the changes of one thing, and what may therefore be stored of it.

use std::fmt::Debug;

use super::model::{Answer, Happened};

/// What one thing should be by all answers.
#[derive(Debug)]
pub(super) struct Answered<T> {
    /// The last one that was answered.
    answered: T,
    /// Those without an answer: each may have been stored, also later.
    open: Vec<T>,
}

impl<T: Debug + PartialEq> Answered<T> {
    /// Before the first change.
    pub(super) fn new(first: T) -> Self {
        Self {
            answered: first,
            open: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, asked: T, answer: &Answer) {
        match answer.happened() {
            Happened::Yes => self.answered = asked,
            Happened::Perhaps => self.open.push(asked),
            Happened::No => {}
        }
    }

    /// A sentence about `what`, if it is stored otherwise than it was answered.
    pub(super) fn otherwise(&self, what: &str, stored: Option<T>) -> Option<String> {
        let fits = |stored: &T| *stored == self.answered || self.open.contains(stored);
        let is_right = stored.as_ref().is_some_and(fits);
        (!is_right).then(|| format!("{what} is {stored:?}, and by all answers should be {self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_was_answered_is_told() {
        let mut answered = Answered::new(1);
        assert_eq!(answered.otherwise("it", Some(1)), None);
        assert!(answered.otherwise("it", None).is_some(), "it is gone");
        for (asked, answer) in [(4, Answer::Done), (5, Answer::Open), (6, Answer::ReadOnly)] {
            answered.note(asked, &answer);
        }
        for (stored, is_told) in [(1, true), (4, false), (5, false), (6, true)] {
            let told = answered.otherwise("it", Some(stored));
            assert_eq!(told.is_some(), is_told, "{told:?}");
        }
    }
}
