//! Errors while opening the authority.

use std::io;
use std::path::PathBuf;

use vpnmanager_runtime::secret_file::SecretFileError;

/// Why the authority could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenPkiError {
    /// A file or the folder could not be read or written.
    #[error("the authority's folder cannot be used")]
    File(#[from] SecretFileError),
    /// The lock that keeps two processes from making two authorities could not be taken.
    #[error("cannot lock {}", .path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files are missing that must not be made again, because existing profiles depend on them.
    #[error("{} lacks {}, which cannot be made again: restore it from a backup", .dir.display(), .missing.join(" and "))]
    Incomplete {
        /// The folder.
        dir: PathBuf,
        /// The missing files.
        missing: Vec<&'static str>,
    },
    /// A file has the wrong content.
    #[error("the authority in {} cannot be used: {reason}", .dir.display())]
    Unusable {
        /// The folder.
        dir: PathBuf,
        /// Which file, and what is wrong.
        reason: &'static str,
    },
    /// The CA's certificate could not be made, or cannot sign.
    #[error("the CA certificate cannot be made or used")]
    Certificate {
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}
