//! Judges a node that sends more than its budget: it is slowed first, and cut off the bus when it goes on.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::server;

/// Dropped messages are counted for this long.
const WINDOW: Duration = Duration::from_secs(10);
/// While a node goes on, it is reported this often.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// A node is degraded for this long after it last sent more than its budget.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::seconds(60);

/// Of what the node has sent more than its budget lately, for people: while it does, it is degraded.
pub fn recent_excess(server: &server::Model, now: DateTime<Utc>) -> Option<&str> {
    let at = server.over_budget_at?;
    server.over_budget.as_deref().filter(|_| now - at < FORGOTTEN_AFTER)
}

/// What follows for the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its messages beyond the budget were dropped: it is degraded.
    Dropped {
        /// Messages that were dropped in this window, so far.
        dropped: u32,
    },
    /// It went on: it is cut off the bus.
    CutOff {
        /// Messages that were dropped in this window.
        dropped: u32,
    },
}

/// How a node has behaved in the last seconds, as one replica saw it.
#[derive(Debug)]
pub struct Conduct {
    cut_off_after: u32,
    window_began: Instant,
    dropped: u32,
    reported: Option<Instant>,
}

impl Conduct {
    /// A node that has dropped nothing yet. `cut_off_after` messages dropped within ten seconds cut it off.
    pub fn new(cut_off_after: u32, now: Instant) -> Self {
        Self {
            cut_off_after,
            window_began: now,
            dropped: 0,
            reported: None,
        }
    }

    /// Counts a message that was dropped. Returns a verdict when there is news: at the first message, then every five seconds, and when
    /// the node is to be cut off.
    pub fn drop_one(&mut self, now: Instant) -> Option<Verdict> {
        if now.saturating_duration_since(self.window_began) > WINDOW {
            self.window_began = now;
            self.dropped = 0;
        }
        self.dropped = self.dropped.saturating_add(1);
        let dropped = self.dropped;
        if dropped == self.cut_off_after {
            self.reported = Some(now);
            return Some(Verdict::CutOff { dropped });
        }
        let is_news = self
            .reported
            .is_none_or(|reported| now.saturating_duration_since(reported) >= REPORT_EVERY);
        is_news.then(|| {
            self.reported = Some(now);
            Verdict::Dropped { dropped }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reported_at_once_then_now_and_then_and_cut_off_once() {
        let start = Instant::now();
        let mut conduct = Conduct::new(4, start);
        let mut at = |second| conduct.drop_one(start + Duration::from_secs(second));
        assert_eq!(at(0), Some(Verdict::Dropped { dropped: 1 }));
        assert_eq!(at(1), None);
        assert_eq!(at(6), Some(Verdict::Dropped { dropped: 3 }));
        assert_eq!(at(6), Some(Verdict::CutOff { dropped: 4 }));
        assert_eq!(at(7), None, "once");
    }

    #[test]
    fn what_was_dropped_long_ago_does_not_count() {
        let start = Instant::now();
        let mut conduct = Conduct::new(3, start);
        for second in [0, 4, 20, 24, 40, 44] {
            let verdict = conduct.drop_one(start + Duration::from_secs(second));
            assert!(!matches!(verdict, Some(Verdict::CutOff { .. })), "at {second}");
        }
    }
}
