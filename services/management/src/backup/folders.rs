//! The folders with keys: reading them, and what must be true of those that they are restored to.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The most bytes of a file of keys. A larger one is something else.
const LARGEST: u64 = 16 << 20;

/// A folder that cannot be saved, or restored to.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The folder, or a file in it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else has the name of a file with keys.
    #[error("{} is no file, or larger than any file with keys", .path.display())]
    Odd {
        /// What it is.
        path: PathBuf,
    },
    /// No file with keys is there.
    #[error("{} holds no keys: is it the right folder?", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// Something is there that would be mixed with what is restored.
    #[error("{} is not empty (it holds {found}): a backup is restored to an empty folder", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// A file is there that would be replaced.
    #[error("{} is there already", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A file of a folder.
#[derive(Debug)]
pub(super) struct FolderFile {
    /// Its name, or path with slashes.
    pub(super) name: String,
    pub(super) mode: u32,
    pub(super) bytes: Vec<u8>,
}

/// Those files of a folder that are there, at least one. What else lies in the folder, such as logs and streams, is not saved.
pub(super) fn read(
    folder: &Path,
    names: impl IntoIterator<Item = &'static str>,
) -> Result<Vec<FolderFile>, FolderError> {
    let mut files = Vec::new();
    for name in names {
        let path = folder.join(name);
        let failed = |source| FolderError::Read {
            path: path.clone(),
            source,
        };
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        if !found.is_file() || found.len() > LARGEST {
            return Err(FolderError::Odd { path });
        }
        files.push(FolderFile {
            name: name.to_owned(),
            mode: found.permissions().mode() & 0o777,
            bytes: fs::read(&path).map_err(failed)?,
        });
    }
    match files.is_empty() {
        true => Err(FolderError::Empty {
            path: folder.to_owned(),
        }),
        false => Ok(files),
    }
}

/// Refuses a folder that is there and holds something.
pub(super) fn check_empty(folder: &Path) -> Result<(), FolderError> {
    let failed = |source| FolderError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(found) => Err(FolderError::NotEmpty {
            path: folder.to_owned(),
            found: found.map_err(failed)?.file_name().to_string_lossy().into_owned(),
        }),
    }
}

/// Refuses the path of a file that is there.
pub(super) fn check_free(file: &Path) -> Result<(), FolderError> {
    match fs::symlink_metadata(file) {
        Ok(_) => Err(FolderError::Exists { path: file.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(FolderError::Read {
            path: file.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_are_there_are_read_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = read(folder.path(), ["ca.pem"]).expect_err("empty");
        assert!(matches!(error, FolderError::Empty { .. }), "{error}");
        for name in ["ca.pem", "nats-server.log"] {
            fs::write(folder.path().join(name), name).expect("written");
        }
        let files = read(folder.path(), ["ca.key", "ca.pem"]).expect("read");
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["ca.pem"]);
        assert_eq!(files[0].bytes, b"ca.pem");

        fs::create_dir(folder.path().join("ca.key")).expect("made");
        let error = read(folder.path(), ["ca.key", "ca.pem"]).expect_err("no file");
        assert!(matches!(error, FolderError::Odd { .. }), "{error}");
    }

    #[test]
    fn only_an_empty_folder_is_restored_to() {
        let folder = tempfile::tempdir().expect("a folder");
        check_empty(folder.path()).expect("empty");
        check_empty(&folder.path().join("absent")).expect("absent");
        let file = folder.path().join("ca.pem");
        check_free(&file).expect("free");
        fs::write(&file, "").expect("written");
        let error = check_empty(folder.path()).expect_err("refused").to_string();
        assert!(error.contains("ca.pem"), "{error}");
        check_free(&file).expect_err("refused");
    }
}
