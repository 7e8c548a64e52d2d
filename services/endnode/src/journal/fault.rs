//! Whether the journal takes what is written.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::{error, info};
use vpnmanager_runtime::error_chain::chain;

/// What the last write showed. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(super) struct WriteFault {
    /// The file.
    path: Arc<Path>,
    failing: Arc<Mutex<Option<Failing>>>,
}

/// Writes fail.
#[derive(Debug, Clone)]
struct Failing {
    since: DateTime<Utc>,
    /// Of the last write.
    error: String,
}

impl WriteFault {
    /// Of the journal at `path`, which has just been opened.
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: PathBuf::from(path).into(),
            failing: Arc::default(),
        }
    }

    /// A write was committed.
    pub(super) fn committed(&self) {
        if let Some(failing) = self.failing().take() {
            info!(since = %failing.since, "The journal can be written again");
        }
    }

    /// A write of somebody was not committed.
    pub(super) fn failed(&self, failure: &rusqlite::Error) {
        error!(error = %chain(failure), "The journal could not be written");
        let mut failing = self.failing();
        let since = failing.as_ref().map_or_else(Utc::now, |failing| failing.since);
        *failing = Some(Failing {
            since,
            error: chain(failure).to_string(),
        });
    }

    /// Whether the last write failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failing().is_some()
    }

    /// What fails, since when and why, and what to do; `None` while writes succeed.
    pub(super) fn text(&self) -> Option<String> {
        let Failing { since, error } = self.failing().clone()?;
        let (path, since) = (self.path.display(), since.to_rfc3339_opts(SecondsFormat::Secs, true));
        Some(format!(
            "the journal {path} cannot be written since {since} ({error}): no change is kept. See that no other program holds it \
             (`fuser {path}`), and that its disk has room, is not mounted read-only and has no errors (`dmesg`). The agent tries \
             again each second"
        ))
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_its_beginning_and_the_latest_reason_until_a_write_succeeds() {
        let fault = WriteFault::new(Path::new("/state/journal.db"));
        assert_eq!((fault.is_failing(), fault.text()), (false, None));
        fault.failed(&rusqlite::Error::InvalidQuery);
        let began = fault.failing().clone().expect("it fails").since;
        fault.failed(&rusqlite::Error::QueryReturnedNoRows);

        let text = fault.text().expect("a fault");

        assert_eq!(fault.failing().clone().expect("it fails").since, began);
        let reason = rusqlite::Error::QueryReturnedNoRows.to_string();
        assert!(
            text.contains("`fuser /state/journal.db`") && text.contains(&reason),
            "{text}"
        );
        fault.committed();
        assert_eq!((fault.is_failing(), fault.text()), (false, None));
    }
}
