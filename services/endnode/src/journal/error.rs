//! What can go wrong with the journal.

use std::{path::PathBuf, sync::Arc};

use rusqlite::ErrorCode;

/// The journal could not be read or written. Nothing of a failed write stays.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file could not be opened, or is no SQLite database.
    #[error("opening the journal {} failed", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file could not be made private.
    #[error("making the journal {} private failed", path.display())]
    Private {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Parts of the file are missing or overwritten.
    #[error("the journal {} is damaged: {verdict}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's finding.
        verdict: String,
    },
    /// The damaged file could not be renamed.
    #[error("setting the damaged journal {} aside failed", path.display())]
    SetAside {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A release newer than this one wrote it.
    #[error("the journal has schema {found}, this release knows up to {known}: install the newer release again")]
    Newer {
        /// The schema of the file.
        found: i64,
        /// The newest schema that this build knows.
        known: i64,
    },
    /// A statement failed.
    #[error("a statement of the journal failed")]
    Statement(#[from] rusqlite::Error),
    /// A row does not hold what it should.
    #[error("the journal holds a value that cannot be read: {what}")]
    Value {
        /// Which value.
        what: &'static str,
    },
    /// The batch was not written.
    #[error("writing to the journal failed")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// The process is stopping.
    #[error("the journal is closed: the process is stopping")]
    Closed,
}

impl JournalError {
    /// Whether the file is damaged, as opposed to not accessible at the moment.
    pub(super) fn is_damage(&self) -> bool {
        let (Self::Open { source, .. } | Self::Statement(source)) = self else {
            return matches!(self, Self::Damaged { .. });
        };
        let beyond_use = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        source
            .sqlite_error_code()
            .is_some_and(|code| beyond_use.contains(&code))
    }
}
