//! Since when management has heard everything that nodes sent. The silence of a node means nothing for the time before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tracing::warn;

use crate::domain::continuity::{Moment, is_continuous};

/// Since when this replica has heard everything. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Hearing {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    since: DateTime<Utc>,
    looked: Moment,
}

impl Hearing {
    /// A replica that starts: it has heard nothing before.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self::looked_at(now, Moment::now())
    }

    /// One that hears since then, and looked at the clocks last at `looked`.
    pub fn looked_at(since: DateTime<Utc>, looked: Moment) -> Self {
        Self {
            state: Arc::new(Mutex::new(State { since, looked })),
        }
    }

    /// Looks at the clocks. Whoever judges silence does so each time, before, and at least each second. False if time passed unnoticed
    /// since the last look, because this process was stopped or a clock was set: nothing was heard before now.
    pub fn look(&self) -> bool {
        let mut state = self.lock();
        let now = Moment::now();
        let before = std::mem::replace(&mut state.looked, now);
        if is_continuous(before, now) {
            return true;
        }
        // Also back: the clock may have been.
        state.since = now.wall;
        drop(state);
        let passed = now.steady.saturating_duration_since(before.steady);
        let by_the_wall = (now.wall - before.wall).num_milliseconds();
        warn!(
            steady_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX),
            wall_ms = by_the_wall,
            "Management did not run for a while, or its clock was set: the silence of nodes counts from now"
        );
        false
    }

    /// Says that something may have been missed, or was not recorded, until `at`.
    pub fn missed_until(&self, at: DateTime<Utc>) {
        let mut state = self.lock();
        state.since = at.max(state.since);
    }

    /// Since when everything was heard and recorded.
    pub fn since(&self) -> DateTime<Utc> {
        self.lock().since
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
