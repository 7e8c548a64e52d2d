//! One after the other, by a key: whoever wants the same waits here, where waiting costs nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Turns by key, in the order in which they were asked for. Who has no turn, and waits for none, is forgotten. Cheap to clone.
#[derive(Debug)]
pub struct InTurn<K>(Arc<Mutex<HashMap<K, Arc<AsyncMutex<()>>>>>);

/// Somebody's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn<K: Eq + Hash> {
    turns: InTurn<K>,
    key: K,
    held: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for InTurn<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K> Clone for InTurn<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Clone + Eq + Hash> InTurn<K> {
    /// Waits for the turn of this key.
    pub async fn of(&self, key: &K) -> Turn<K> {
        // It comes first, so that a caller that stops waiting leaves nothing behind.
        let mut turn = Turn {
            turns: self.clone(),
            key: key.clone(),
            held: None,
        };
        let one = self.lock().entry(key.clone()).or_default().clone();
        turn.held = Some(one.lock_owned().await);
        turn
    }
}

impl<K> InTurn<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<AsyncMutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut waiting = self.turns.lock();
        self.held = None;
        if waiting.get(&self.key).is_some_and(|one| Arc::strong_count(one) == 1) {
            waiting.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const NOT_YET: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn who_wants_the_same_waits_and_nobody_else_does() {
        let turns = InTurn::default();
        let first = turns.of(&"alice").await;
        let _other = turns.of(&"bob").await;
        assert!(timeout(NOT_YET, turns.of(&"alice")).await.is_err(), "it is not over");
        drop(first);
        timeout(NOT_YET, turns.of(&"alice")).await.expect("its turn");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_turn_and_waits_for_none_is_forgotten() {
        let turns = InTurn::default();
        let first = turns.of(&"alice").await;
        let second = timeout(NOT_YET, turns.of(&"alice")).await;
        assert!(second.is_err() && turns.lock().len() == 1);
        drop(first);
        assert!(turns.lock().is_empty());
    }
}
