//! What the files of an export have in common.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sea_orm::DbErr;
use vpnmanager_runtime::secret_file::SecretFileError;

/// Rows that are read at once.
pub(super) const PAGE: u64 = 1_000;

/// Why nothing, or not all, was written. The folder may hold a part.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The folder has something in it already.
    #[error("the folder {} is not empty: name another one", .0.display())]
    NotEmpty(PathBuf),
    /// The folder could not be made.
    #[error(transparent)]
    Folder(#[from] SecretFileError),
    /// A file could not be written.
    #[error("writing a file failed")]
    Write(#[from] io::Error),
    /// The database failed.
    #[error("reading the database failed")]
    Database(#[from] DbErr),
}

/// A file that only its owner may read.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
