//! Why a backup cannot be read.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a backup cannot be read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("cannot read {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is another kind of file.
    #[error("{} is no backup of VPN Manager", .path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("the passphrase is not that of {}, or the beginning of the file is damaged", .path.display())]
    Passphrase {
        /// The file.
        path: PathBuf,
    },
    /// None of the secret keys opens it.
    #[error("none of the secret keys opens {}, or the beginning of the file is damaged", .path.display())]
    Identity {
        /// The file.
        path: PathBuf,
    },
    /// It was made for public keys.
    #[error("{} was encrypted for public keys and not with a passphrase: give --identity, the file with a secret key", .path.display())]
    NeedsIdentity {
        /// The file.
        path: PathBuf,
    },
    /// It was made with a passphrase.
    #[error("{} was encrypted with a passphrase and not for public keys: give BACKUP_PASSPHRASE_FILE in place of --identity", .path.display())]
    NeedsPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// A byte differs, or the end is missing.
    #[error("{} is damaged or cut off: take another copy of it", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Option<io::Error>,
    },
    /// A later release made it in another way.
    #[error("{} has format {format}, and this release knows {known}: use the release that made it, or a later one", .path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest that is known.
        known: u32,
    },
    /// What is in it is not what its manifest says.
    #[error("{} does not hold what its manifest says: {what}", .path.display())]
    Differs {
        /// The file.
        path: PathBuf,
        /// The first difference.
        what: String,
    },
}

impl ReadError {
    pub(super) fn damaged(path: &Path) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            source: None,
        }
    }

    pub(super) fn differs(path: &Path, what: impl Into<String>) -> Self {
        Self::Differs {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
