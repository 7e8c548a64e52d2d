//! How often one caller may do something in a while, for callers that nobody knows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use vpnmanager_openapi::server::Source;

/// The time that a budget is for.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The most callers that are counted apart. Further ones share one budget until others' windows are over, so that an attacker with many
/// addresses cannot fill the memory.
const MOST_SOURCES: usize = 4096;

/// Counts what each caller does in windows of [`WINDOW`]. Callers whose address is not known count as one.
#[derive(Debug)]
pub struct SourceBudget {
    limit: u32,
    most: usize,
    by_source: HashMap<Option<Source>, Window>,
    others: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    began: Instant,
    used: u32,
}

impl SourceBudget {
    /// Each caller may do it `limit` times in a window.
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            most: MOST_SOURCES,
            by_source: HashMap::new(),
            others: None,
        }
    }

    /// Counts one use.
    ///
    /// # Errors
    /// The time until the next window, when the caller has used up this one.
    pub fn spend(&mut self, source: Option<Source>, now: Instant) -> Result<(), Duration> {
        if !self.by_source.contains_key(&source) && self.by_source.len() >= self.most {
            self.by_source.retain(|_, window| !window.is_over(now));
        }
        let limit = self.limit;
        let is_counted = self.by_source.contains_key(&source) || self.by_source.len() < self.most;
        let fresh = Window { began: now, used: 0 };
        let window = if is_counted {
            self.by_source.entry(source).or_insert(fresh)
        } else {
            self.others.get_or_insert(fresh)
        };
        if window.is_over(now) {
            *window = fresh;
        }
        if window.used >= limit {
            return Err(WINDOW.saturating_sub(now.saturating_duration_since(window.began)));
        }
        window.used += 1;
        Ok(())
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Option<Source> {
        Some(Source::of([192, 0, 2, last].into()))
    }

    #[test]
    fn each_caller_has_a_budget_in_each_window() {
        let mut budget = SourceBudget::new(2);
        let start = Instant::now();
        let mut spend = |who, second| budget.spend(source(who), start + Duration::from_secs(second)).is_ok();
        assert_eq!([spend(1, 0), spend(1, 1), spend(1, 2)], [true, true, false]);
        assert!(spend(2, 2), "another caller");
        assert_eq!([spend(1, 9), spend(1, 10)], [false, true], "the next window");
        assert_eq!(budget.spend(source(2), start), Ok(()));
        assert_eq!(
            budget.spend(source(2), start + Duration::from_secs(3)),
            Err(Duration::from_secs(9))
        );
    }

    #[test]
    fn more_callers_than_are_counted_share_one_budget() {
        let mut budget = SourceBudget {
            most: 2,
            ..SourceBudget::new(3)
        };
        let now = Instant::now();
        let spent: Vec<bool> = (0..10).map(|who| budget.spend(source(who), now).is_ok()).collect();
        assert_eq!(spent.iter().filter(|ok| **ok).count(), 2 + 3);
        assert_eq!(budget.by_source.len(), 2);
        assert_eq!(
            budget.spend(source(9), now + WINDOW),
            Ok(()),
            "others' windows are over"
        );
        assert_eq!(budget.by_source.len(), 1);
    }
}
