//! Since when management has heard everything that nodes sent. The silence of a node means nothing for the time before.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// Since when this replica has heard everything. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Hearing {
    since: Arc<Mutex<DateTime<Utc>>>,
}

impl Hearing {
    /// A replica that starts: it has heard nothing before.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            since: Arc::new(Mutex::new(now)),
        }
    }

    /// Says that something may have been missed, or was not recorded, until `at`.
    pub fn missed_until(&self, at: DateTime<Utc>) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = at.max(*since);
    }

    /// Since when everything was heard and recorded.
    pub fn since(&self) -> DateTime<Utc> {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
