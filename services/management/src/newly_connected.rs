//! Users of whom a session has just begun. What their groups allow at the same time is looked at for them at once, and not for all users.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_runtime::reconcile::Wake;

/// The most users that wait. Others are found by the next look at all sessions.
const MOST: usize = 100_000;

/// The rows of those users that wait to be looked at. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct NewlyConnected {
    users: Arc<Mutex<BTreeSet<i64>>>,
    wake: Wake,
}

impl NewlyConnected {
    /// Has these users looked at.
    pub fn note(&self, users: impl IntoIterator<Item = i64>) {
        let mut waiting = self.lock();
        let before = waiting.len();
        let room = MOST.saturating_sub(before);
        waiting.extend(users.into_iter().take(room));
        let is_news = waiting.len() > before;
        drop(waiting);
        if is_news {
            self.wake.wake();
        }
    }

    /// Takes at most so many.
    pub fn take(&self, most: usize) -> Vec<i64> {
        let mut waiting = self.lock();
        std::iter::from_fn(|| waiting.pop_first()).take(most).collect()
    }

    /// Wakes whoever looks.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_is_taken_once_and_no_more_wait_than_there_is_room_for() {
        let connected = NewlyConnected::default();
        connected.note([3, 1, 2]);
        connected.clone().note([1]);
        assert_eq!(connected.take(2), [1, 2]);
        assert_eq!(connected.take(2), [3]);
        assert!(connected.take(2).is_empty());

        connected.note(0..i64::MAX);
        connected.note([i64::MAX]);
        assert_eq!(connected.take(usize::MAX).len(), MOST);
    }
}
