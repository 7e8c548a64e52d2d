//! Files that only their owner may read: written whole or not at all.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::SecretString;
use thiserror::Error;

/// What could not be done with a secret's file, or with its folder.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// The folder could not be created, or its mode not be set to 0700.
    #[error("cannot create the private folder {}", .path.display())]
    CreateDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be written or put in its place.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be read, or is not UTF-8.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Creates a folder (and its parents) that only its owner may enter (0700), and narrows an existing one to that.
///
/// # Errors
/// [`SecretFileError::CreateDir`].
pub fn create_dir(path: &Path) -> Result<(), SecretFileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .map_err(|source| SecretFileError::CreateDir {
            path: path.to_owned(),
            source,
        })
}

/// Writes a file of mode 0600 at once: a reader sees the old content or the new, also after a crash.
///
/// # Errors
/// [`SecretFileError::Write`].
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), SecretFileError> {
    replace(path, content.as_ref(), Durability::Synced).map_err(|source| SecretFileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// As [`write()`], without waiting for the disk: for files that are rebuilt from a journal after a crash.
///
/// # Errors
/// [`SecretFileError::Write`].
pub fn write_unsynced(path: &Path, content: impl AsRef<[u8]>) -> Result<(), SecretFileError> {
    replace(path, content.as_ref(), Durability::Rebuilt).map_err(|source| SecretFileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Reads a secret and removes one newline at its end, which editors and `echo` leave there.
///
/// # Errors
/// [`SecretFileError::Read`].
pub fn read(path: &Path) -> Result<SecretString, SecretFileError> {
    let text = fs::read_to_string(path).map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(SecretString::from(trim_newline(&text)))
}

/// The text without one trailing `\n` or `\r\n`.
pub(crate) fn trim_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

enum Durability {
    Synced,
    Rebuilt,
}

fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        match durability {
            Durability::Synced => file.sync_all()?,
            Durability::Rebuilt => {}
        }
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error is the one to tell; a temporary file that stays is hidden and 0600.
        let _left_behind = fs::remove_file(&temporary);
    }
    written
}

/// A hidden name in the same folder, unique to this process and call.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"));
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(
        ".{}.{}.tmp",
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    ));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_written_secret_is_0600_and_reads_back_without_its_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.key");
        write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();

        write(&path, "s3cret \n").unwrap();

        assert_eq!(mode(&path), 0o600);
        assert_eq!(read(&path).unwrap().expose_secret(), "s3cret ");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn an_existing_folder_is_narrowed_to_0700() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();

        create_dir(&path).unwrap();

        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir_all(path.join("in the way")).unwrap();

        assert!(write(&path, "x").is_err());

        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
