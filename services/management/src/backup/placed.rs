//! Files that are put in place, and taken away again unless all went well.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::folders::FolderError;

/// What nobody but the owner may ever have of a file with keys.
const NOT_FOR_OTHERS: u32 = 0o027;

/// What was put in place. Dropping it takes all of it away.
#[derive(Debug, Default)]
pub(super) struct Placed {
    made: Vec<Made>,
}

#[derive(Debug)]
enum Made {
    Folder(PathBuf),
    File(PathBuf),
}

impl Placed {
    /// Writes a file that is not there, and the folders that lead to it, with mode 0700. It is on the disk when this returns. It gets the mode that
    /// it had, whatever the umask is, but that others get nothing and the group writes nothing.
    pub(super) fn write(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> Result<(), FolderError> {
        let failed = |source| FolderError::Write {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            self.make_folder(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        self.made.push(Made::File(path.to_owned()));
        let mode = Permissions::from_mode(mode & 0o777 & !NOT_FOR_OTHERS);
        let written = file.write_all(bytes).and_then(|()| file.set_permissions(mode));
        written.and_then(|()| file.sync_all()).map_err(failed)
    }

    fn make_folder(&mut self, folder: &Path) -> io::Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent() {
            self.make_folder(parent)?;
        }
        DirBuilder::new().mode(0o700).create(folder)?;
        self.made.push(Made::Folder(folder.to_owned()));
        Ok(())
    }

    /// Has all names on the disk: they are there also after a crash.
    pub(super) fn sync(&self) -> Result<(), FolderError> {
        for made in &self.made {
            let (Made::Folder(path) | Made::File(path)) = made;
            // A new name is safe once the folder that has it is on the disk.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
            synced.map_err(|source| FolderError::Write {
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Leaves all in place.
    pub(super) fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        for made in self.made.drain(..).rev() {
            // What somebody else has put into a folder stays, and so does the folder.
            let _left = match made {
                Made::File(path) => fs::remove_file(path),
                Made::Folder(path) => fs::remove_dir(path),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_not_kept_goes_with_its_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("bus/keys/one.nk");
        let mut placed = Placed::default();
        placed.write(&file, 0o640, b"key").expect("written");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
        drop(placed);
        assert!(!folder.path().join("bus").exists());

        let mut placed = Placed::default();
        placed.write(&file, 0o600, b"key").expect("written");
        placed.sync().expect("synced");
        placed.keep();
        assert_eq!(fs::read(&file).expect("there"), b"key");
    }

    #[test]
    fn no_file_is_for_others_whatever_the_backup_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut placed = Placed::default();
        for (said, expected) in [(0o777, 0o750), (0o644, 0o640), (0o600, 0o600), (0o4666, 0o640)] {
            let file = folder.path().join(format!("{said:o}"));
            placed.write(&file, said, b"key").expect("written");
            assert_eq!(
                fs::metadata(&file).expect("there").permissions().mode() & 0o7777,
                expected
            );
        }
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        fs::write(&file, "old").expect("written");
        let mut placed = Placed::default();
        placed.write(&file, 0o600, b"new").expect_err("refused");
        drop(placed);
        assert_eq!(fs::read(&file).expect("there"), b"old");
    }
}
