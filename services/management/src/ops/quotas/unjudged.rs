//! Users who got another quota and could not be judged by it: the next review judges them.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The row ids of those users. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Unjudged(Arc<Mutex<BTreeSet<i64>>>);

impl Unjudged {
    /// Has these users judged.
    pub fn note(&self, users: impl IntoIterator<Item = i64>) {
        self.lock().extend(users);
    }

    /// Takes all, in the order of their ids.
    pub(super) fn take(&self) -> Vec<i64> {
        mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
