//! The file `pushed` beside the allow-list of a managed node: what OpenVPN pushes to every client that logs in, but for the members of groups
//! ([`pushed_groups`](crate::pushed_groups)).
//!
//! Their entries of the allow-list are symbolic links to it, so that one rename changes what all of them get at their next login. A link that
//! leads nowhere refuses its user (`ccd-exclusive`): so the file is there before any link is, and is put back wherever it is missed.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where a link in the folder of the allow-list leads.
pub(crate) const TARGET: &str = "../pushed";

/// OpenVPN reads it as the account that it drops its privileges to.
const MODE: u32 = 0o644;

/// The file and what it should say. Cheap to clone; all clones are the same file.
#[derive(Debug, Clone)]
pub struct PushedFile {
    path: PathBuf,
    wanted: Arc<Mutex<String>>,
}

/// What a look at the file led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It was as it should be.
    Unchanged,
    /// It says something else than was wanted before.
    Changed,
    /// Somebody else had changed or removed it.
    PutBack,
}

/// The file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}, which entries of the allow-list lead to", path.display())]
pub struct PushedFileError {
    /// The file.
    pub(crate) path: PathBuf,
    /// Why.
    #[source]
    pub(crate) source: io::Error,
}

impl PushedFile {
    /// The file beside this folder, which must exist, with what it says. An empty one is made where it is missing.
    pub fn beside(allow_dir: &Path) -> Result<Self, PushedFileError> {
        let failed = |source| PushedFileError {
            path: allow_dir.join(TARGET),
            source,
        };
        // Links lead to the parent of the folder itself, not of a link to it.
        Self::at(allow_dir.canonicalize().map_err(failed)?.with_file_name("pushed"))
    }

    /// The file at this place, with what it says. An empty one is made where it is missing.
    pub(crate) fn at(path: PathBuf) -> Result<Self, PushedFileError> {
        let found = fs::read_to_string(&path).unwrap_or_default();
        let file = Self {
            path,
            wanted: Arc::new(Mutex::new(found)),
        };
        file.keep()?;
        Ok(file)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file say this, unless it does.
    pub fn set(&self, text: String) -> Result<Kept, PushedFileError> {
        let mut wanted = self.wanted();
        let is_news = *wanted != text;
        *wanted = text;
        match (self.write_unless_same(&wanted)?, is_news) {
            (false, _) => Ok(Kept::Unchanged),
            (true, true) => Ok(Kept::Changed),
            (true, false) => Ok(Kept::PutBack),
        }
    }

    /// Makes the file say what was last wanted of it, unless it does.
    pub fn keep(&self) -> Result<Kept, PushedFileError> {
        let wanted = self.wanted();
        Ok(match self.write_unless_same(&wanted)? {
            true => Kept::PutBack,
            false => Kept::Unchanged,
        })
    }

    /// Makes the file where it is missing: one look at it, whatever it says.
    pub fn ensure(&self) -> Result<(), PushedFileError> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() => Ok(()),
            Ok(_) | Err(_) => self.keep().map(drop),
        }
    }

    /// True when it had to be written.
    fn write_unless_same(&self, text: &str) -> Result<bool, PushedFileError> {
        let is_ours = |found: fs::Metadata| found.is_file() && found.permissions().mode() & 0o777 == MODE;
        let is_same = fs::symlink_metadata(&self.path).is_ok_and(is_ours)
            && fs::read(&self.path).is_ok_and(|found| found == text.as_bytes());
        if is_same {
            return Ok(false);
        }
        self.write(text).map_err(|source| PushedFileError {
            path: self.path.clone(),
            source,
        })?;
        Ok(true)
    }

    /// It appears whole. It follows from the journal, so nothing is synced to disk.
    fn write(&self, text: &str) -> io::Result<()> {
        let staged = self.path.with_extension("new");
        let mut file = File::create(&staged)?;
        // The process's umask may have taken permissions away.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&staged, &self.path)
    }

    /// Held while the file is written, so that the last one wanted is the last one written.
    fn wanted(&self) -> MutexGuard<'_, String> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside_a_folder() -> (tempfile::TempDir, PushedFile) {
        let state = tempfile::tempdir().expect("a folder");
        let allow = state.path().join("allow");
        fs::create_dir(&allow).expect("made");
        let file = PushedFile::beside(&allow).expect("a file");
        (state, file)
    }

    fn said(file: &PushedFile) -> String {
        fs::read_to_string(file.path()).expect("read")
    }

    #[test]
    fn it_is_empty_at_first_and_every_account_reads_it_where_links_lead() {
        let (state, file) = beside_a_folder();
        assert_eq!(said(&file), "");
        let through_a_link = state.path().join("allow").join(TARGET);
        let mode = fs::metadata(&through_a_link).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(through_a_link.canonicalize().ok(), file.path().canonicalize().ok());
    }

    #[test]
    fn what_it_should_say_is_told_apart_from_what_somebody_made_of_it() {
        let (_state, file) = beside_a_folder();
        assert_eq!(file.set("a\n".to_owned()).expect("set"), Kept::Changed);
        assert_eq!(file.set("a\n".to_owned()).expect("set"), Kept::Unchanged);
        fs::write(file.path(), "b\n").expect("edited");
        assert_eq!(file.set("a\n".to_owned()).expect("set"), Kept::PutBack);
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(file.keep().expect("kept"), Kept::PutBack);
        fs::remove_file(file.path()).expect("removed");
        file.ensure().expect("made");
        assert_eq!(said(&file), "a\n");
        assert_eq!(file.keep().expect("kept"), Kept::Unchanged);
    }

    #[test]
    fn what_the_last_run_wrote_stays_until_something_else_is_wanted() {
        let (state, file) = beside_a_folder();
        file.set("a\n".to_owned()).expect("set");
        let next = PushedFile::beside(&state.path().join("allow")).expect("a file");
        assert_eq!(said(&next), "a\n");
        assert_eq!(next.keep().expect("kept"), Kept::Unchanged);
    }

    #[test]
    fn a_folder_in_its_place_is_an_error_that_names_it() {
        let (_state, file) = beside_a_folder();
        fs::remove_file(file.path()).expect("removed");
        fs::create_dir(file.path()).expect("made");
        let error = file.ensure().expect_err("a folder").to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }
}
