#![doc = include_str!("../README.md")]

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::SecretString;
use thiserror::Error;

/// An operation on a secret file, or on its folder, that failed.
#[derive(Debug, Error)]
pub enum SecretFileError {
    /// The folder could not be created, or its mode could not be set to 0700.
    #[error("cannot create the private folder {}", .path.display())]
    CreateDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file could not be written or moved to its place.
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

/// Writes a file that does not exist yet. It is on the disk when this returns.
///
/// # Errors
/// Also when the file exists: its content stays.
pub fn write_new(path: &Path, content: impl AsRef<[u8]>) -> Result<(), SecretFileError> {
    create(path, content.as_ref(), Durability::Synced)
        .and_then(|()| sync_folder(path))
        .map_err(failed_to_write(path))
}

/// Writes a file, or replaces it in one step: a reader sees the old content or the new, also after a crash. The content is on
/// the disk when this returns.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), SecretFileError> {
    replace(path, content.as_ref(), Durability::Synced)
        .and_then(|()| sync_folder(path))
        .map_err(failed_to_write(path))
}

/// As [`write()`], without waiting for the disk: for files that are rebuilt from a journal after a crash.
pub fn write_unsynced(path: &Path, content: impl AsRef<[u8]>) -> Result<(), SecretFileError> {
    replace(path, content.as_ref(), Durability::Rebuilt).map_err(failed_to_write(path))
}

/// A file that is written piece by piece, for what does not fit into memory. It has its name only once it is whole: until
/// [`NewFile::keep`] it is a hidden file of the same folder, and dropping it removes that.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: PathBuf,
}

impl NewFile {
    /// Begins a file in the folder of `path`, which is also the first part of its hidden name.
    pub fn begin(path: &Path) -> Result<Self, SecretFileError> {
        let begun = temporary_beside(path).and_then(|temporary| {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)?;
            Ok(Self { file, temporary })
        });
        begun.map_err(failed_to_write(path))
    }

    /// Gives it this name, in the same folder. It is on the disk when this returns.
    ///
    /// # Errors
    /// Also when there is a file of that name: its content stays. Two who give the same name at the same moment must exclude each other
    /// themselves.
    pub fn keep(self, path: &Path) -> Result<(), SecretFileError> {
        let keep = || {
            if path.symlink_metadata().is_ok() {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            self.file.sync_all()?;
            fs::rename(&self.temporary, path)?;
            sync_folder(path)
        };
        keep().map_err(failed_to_write(path))
    }
}

impl io::Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Gone already if it was kept.
        let _kept = fs::remove_file(&self.temporary);
    }
}

/// The name of the file that a hidden file of this name was to become, by [`NewFile`] or [`write()`]; `None`: it is no such file. One that nobody
/// writes any more was left by a process that was killed.
pub fn unfinished(hidden: &str) -> Option<&str> {
    let mut parts = hidden.strip_prefix('.')?.strip_suffix(".tmp")?.rsplitn(3, '.');
    let (call, process, name) = (parts.next()?, parts.next()?, parts.next()?);
    (call.parse::<u64>().is_ok() && process.parse::<u32>().is_ok()).then_some(name)
}

/// Reads a secret and removes one newline at its end, which editors and `echo` leave there.
pub fn read(path: &Path) -> Result<SecretString, SecretFileError> {
    let text = fs::read_to_string(path).map_err(|source| SecretFileError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(SecretString::from(trim_newline(&text)))
}

/// The text without one trailing `\n` or `\r\n`.
fn trim_newline(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[derive(Clone, Copy)]
enum Durability {
    Synced,
    Rebuilt,
}

fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = create(&temporary, content, durability).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report; a temporary file that stays is hidden and 0600.
        let _left_behind = fs::remove_file(&temporary);
    }
    written
}

fn create(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    match durability {
        Durability::Synced => file.sync_all(),
        Durability::Rebuilt => Ok(()),
    }
}

/// A new name in a folder survives a crash only once the folder is on the disk, too.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        Some(_) | None => File::open(".")?.sync_all(),
    }
}

fn failed_to_write(path: &Path) -> impl FnOnce(io::Error) -> SecretFileError {
    |source| SecretFileError::Write {
        path: path.to_owned(),
        source,
    }
}

/// A hidden name in the same folder, unique to this process and call. [`unfinished`] reads it.
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
    fn a_new_secret_is_0600_and_never_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.nk");

        write_new(&path, "first").unwrap();

        assert_eq!(mode(&path), 0o600);
        assert!(write_new(&path, "second").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
    }

    #[test]
    fn a_file_of_pieces_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let mut file = NewFile::begin(&path).unwrap();
        file.write_all(b"one, ").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(names(), 0, "what was not kept is gone");

        let mut file = NewFile::begin(&path).unwrap();
        file.write_all(b"one, two").unwrap();
        file.keep(&path).unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), mode(&path)),
            ("one, two", 0o600)
        );

        NewFile::begin(&path).unwrap().keep(&path).unwrap_err();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names()), ("one, two", 1));
    }

    #[test]
    fn a_hidden_name_tells_what_the_file_was_to_become() {
        let hidden = temporary_beside(Path::new("/backups/one.age")).unwrap();
        let hidden = hidden.file_name().unwrap().to_str().unwrap();
        assert_eq!(unfinished(hidden), Some("one.age"));
        for other in ["one.age.1.2.tmp", ".one.age.tmp", ".one.age.1.x.tmp", ".1.2.tmp"] {
            assert_eq!(unfinished(other), None, "{other}");
        }
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
