#![doc = include_str!("../README.md")]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines of one kind.
pub const PERIOD: Duration = Duration::from_secs(10);

/// The limits that have held something back since the process started.
static KNOWN: Mutex<Vec<&'static LogLimit>> = Mutex::new(Vec::new());

/// The limit of one kind of warning: a `static` beside the place that logs it. The first one is logged at once; those of the next
/// [`PERIOD`] are counted.
#[derive(Debug)]
pub struct LogLimit {
    what: &'static str,
    lines: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the current period began: with a line.
    began: Option<Instant>,
    /// Lines in the current period.
    logged: u32,
    held_back: u64,
    known: bool,
}

/// Warnings that were counted and not logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBack {
    /// Which kind.
    pub what: &'static str,
    /// How many since the last line, at least 1.
    pub times: u64,
}

impl LogLimit {
    /// The limit of one kind of warning; `what` names it in the line about those that were held back.
    #[must_use]
    pub const fn new(what: &'static str) -> Self {
        Self::lines(what, 1)
    }

    /// The same for warnings that differ from each other: so many lines in each period, at least 1.
    #[must_use]
    pub const fn lines(what: &'static str, lines: u32) -> Self {
        Self {
            what,
            lines,
            state: Mutex::new(State {
                began: None,
                logged: 0,
                held_back: 0,
                known: false,
            }),
        }
    }

    /// Counts one. `Some(times)`: log it now, and say that it happened `times` times (at least 1) since the last line. `None`: do not
    /// log it.
    pub fn admit(&'static self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&'static self, now: Instant) -> Option<u64> {
        let (times, is_new) = {
            let mut state = self.state();
            state.held_back = state.held_back.saturating_add(1);
            let times = state.take_if_due(now, self.lines);
            let is_new = times.is_none() && !state.known;
            state.known |= is_new;
            (times, is_new)
        };
        if is_new {
            known().push(self);
        }
        times
    }

    fn take_held_back(&self, now: Instant) -> Option<HeldBack> {
        let times = self.state().take_if_due(now, 1)?;
        Some(HeldBack { what: self.what, times })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_if_due(&mut self, now: Instant, lines: u32) -> Option<u64> {
        let is_over = self
            .began
            .is_none_or(|began| now.saturating_duration_since(began) >= PERIOD);
        if self.held_back == 0 || (!is_over && self.logged >= lines) {
            return None;
        }
        if is_over {
            (self.began, self.logged) = (Some(now), 0);
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

/// What was held back for [`PERIOD`] and not logged since. Whoever asks must log it: it is counted as logged.
#[must_use]
pub fn held_back() -> Vec<HeldBack> {
    held_back_at(Instant::now())
}

fn held_back_at(now: Instant) -> Vec<HeldBack> {
    known().iter().filter_map(|limit| limit.take_held_back(now)).collect()
}

fn known() -> MutexGuard<'static, Vec<&'static LogLimit>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gives_one_line_in_each_period_and_no_count_is_lost() {
        static FLOOD: LogLimit = LogLimit::new("flood");
        let start = Instant::now();
        let lines: Vec<u64> = (0..25_000)
            .filter_map(|millis| FLOOD.admit_at(start + Duration::from_millis(millis)))
            .collect();
        assert_eq!(lines, [1, 10_000, 10_000]);
        let rest = |at: Instant| held_back_at(at).into_iter().find(|rest| rest.what == "flood");
        assert_eq!(
            rest(start + Duration::from_millis(29_999)),
            None,
            "the period is not over"
        );
        let expected = HeldBack {
            what: "flood",
            times: 4_999,
        };
        assert_eq!(rest(start + PERIOD * 3), Some(expected));
        assert_eq!(rest(start + PERIOD * 5), None, "given once");
    }

    #[test]
    fn warnings_that_differ_have_more_lines() {
        static VARIED: LogLimit = LogLimit::lines("varied", 3);
        let start = Instant::now();
        let admitted = |second| VARIED.admit_at(start + Duration::from_secs(second));
        let first: Vec<_> = (0..6).map(admitted).collect();
        assert_eq!(first, [Some(1), Some(1), Some(1), None, None, None]);
        assert_eq!([admitted(10), admitted(10)], [Some(4), Some(1)]);
    }

    #[test]
    fn a_warning_after_a_pause_is_logged_at_once() {
        static RARE: LogLimit = LogLimit::new("rare");
        let start = Instant::now();
        assert_eq!(RARE.admit_at(start), Some(1));
        assert_eq!(RARE.admit_at(start + Duration::from_secs(1)), None);
        assert_eq!(RARE.admit_at(start + PERIOD), Some(2));
        assert_eq!(RARE.admit_at(start + PERIOD * 3), Some(1));
    }
}
