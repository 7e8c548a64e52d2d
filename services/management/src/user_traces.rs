//! Which request last changed a user, so that what is published for it belongs to the trace of that request.
//!
//! This is kept in memory, for a minute: the replica that took a change publishes it, in nearly all cases. Where another one does, the trace ends
//! with the request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vpnmanager_nats::ids::UserKey;
use vpnmanager_runtime::traces::TraceParent;

/// How long a change may take until it is published. What comes later is something else.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// The most users whose requests are known; further ones have no trace.
const MOST: usize = 20_000;

/// The traces of changes of users. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct UserTraces {
    known: Arc<Mutex<HashMap<UserKey, (TraceParent, Instant)>>>,
}

impl UserTraces {
    /// A request in this trace changed the user.
    pub fn remember(&self, user: UserKey, trace: Option<TraceParent>) {
        let Some(trace) = trace else { return };
        let now = Instant::now();
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|_, (_, since)| is_recent(*since, now));
        }
        if known.len() < MOST || known.contains_key(&user) {
            known.insert(user, (trace, now));
        }
    }

    /// The trace of the request that changed the user within the last minute.
    pub fn of(&self, user: UserKey) -> Option<TraceParent> {
        let known = self.known();
        let (trace, since) = known.get(&user)?;
        is_recent(*since, Instant::now()).then_some(*trace)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<UserKey, (TraceParent, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_recent(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < REMEMBERED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_request_counts_and_one_without_a_trace_is_none() {
        let traces = UserTraces::default();
        let trace = |span: u64| TraceParent::of(Some(&format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-01")));
        let user = UserKey::new();
        assert_eq!(traces.of(user), None);
        traces.remember(user, trace(1));
        traces.remember(user, trace(2));
        traces.remember(user, None);
        assert_eq!(traces.of(user), trace(2));
        assert_eq!(traces.of(UserKey::new()), None);
    }

    #[test]
    fn no_more_are_kept_than_are_of_use() {
        let traces = UserTraces::default();
        let trace = TraceParent::of(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        let first = UserKey::new();
        traces.remember(first, trace);
        for _ in 0..MOST + 10 {
            traces.remember(UserKey::new(), trace);
        }
        assert_eq!(traces.known().len(), MOST);
        assert_eq!(traces.of(first), trace);
    }
}
