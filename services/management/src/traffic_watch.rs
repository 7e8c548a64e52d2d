//! Whether the servers of the bus say what nodes send. While they do not, nobody is cut off for connections or traffic.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A shorter failure is no problem: a server restarts, a replica connects again.
const TOLERATED: Duration = Duration::from_secs(30);

/// When the connections of nodes were last counted. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct TrafficWatch {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    counted: Instant,
    failure: Option<String>,
}

impl TrafficWatch {
    /// Nothing was counted yet, and nothing failed.
    pub fn new(now: Instant) -> Self {
        let state = State {
            counted: now,
            failure: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// They were counted.
    pub fn counted(&self, now: Instant) {
        *self.lock() = State {
            counted: now,
            failure: None,
        };
    }

    /// They were not.
    pub fn failed(&self, cause: String) {
        self.lock().failure = Some(cause);
    }

    /// What to tell people when counting has failed for long.
    pub fn problem(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        let lasts = now.saturating_duration_since(state.counted) >= TOLERATED;
        let cause = state.failure.as_ref().filter(|_| lasts)?;
        Some(format!(
            "the bus does not say what nodes send ({cause}): no node is cut off for too many connections or too much traffic; \
             run `bus-init` of this release again with the arguments of before, and restart nats-server"
        ))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fails_for_long_is_a_problem_until_it_works() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let watch = TrafficWatch::new(start);
        assert_eq!(watch.problem(at(60)), None, "nothing failed");
        watch.failed("no server answered".to_owned());
        assert_eq!(watch.problem(at(29)), None);
        let problem = watch.problem(at(30)).unwrap();
        assert!(
            problem.contains("(no server answered)") && problem.contains("bus-init"),
            "{problem}"
        );
        watch.counted(at(31));
        assert_eq!(watch.problem(at(90)), None);
    }
}
