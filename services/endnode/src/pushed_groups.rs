//! The folder `pushed.groups` beside the allow-list of a managed node: what OpenVPN pushes to the members of each group, one file for each.
//!
//! The entry of a member in the allow-list names the file of the group (`config`, which OpenVPN takes there). OpenVPN lets somebody in whose
//! file is missing, and pushes nothing: so a file is there before an entry names it, and is put back wherever it is missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_nats::groups::GroupName;

use crate::pushed_file::{Kept, PushedFile, PushedFileError};

/// OpenVPN reads the files as the account that it drops its privileges to.
const DIR_MODE: u32 = 0o755;

/// The files of groups, and what each should say. Cheap to clone; all clones are the same folder.
#[derive(Debug, Clone)]
pub struct PushedGroups {
    dir: PathBuf,
    files: Arc<Mutex<BTreeMap<GroupName, PushedFile>>>,
}

impl PushedGroups {
    /// The folder beside this one, which must exist, with the files that it has. It is made where it is missing.
    ///
    /// # Errors
    /// It cannot be made or listed, or something in it that has the name of a group is no file.
    pub fn beside(allow_dir: &Path) -> Result<Self, PushedFileError> {
        let parent = allow_dir.canonicalize().map_err(|source| PushedFileError {
            path: allow_dir.to_owned(),
            source,
        })?;
        let groups = Self {
            dir: parent.with_file_name("pushed.groups"),
            files: Arc::default(),
        };
        groups.prepare()?;
        let mut found = BTreeMap::new();
        for name in groups.names().map_err(|source| groups.failed(source))? {
            let file = PushedFile::at(groups.path_of(&name))?;
            found.insert(name, file);
        }
        *groups.files() = found;
        Ok(groups)
    }

    /// The file of a group, whether it is there or not.
    pub fn path_of(&self, group: &GroupName) -> PathBuf {
        self.dir.join(group.as_str())
    }

    /// Makes the file of a group where it is missing. Of a group that nothing was said of yet it is empty.
    pub fn ensure(&self, group: &GroupName) -> Result<(), PushedFileError> {
        let mut files = self.files();
        self.prepare()?;
        match files.get(group) {
            Some(file) => file.ensure(),
            None => {
                files.insert(group.clone(), PushedFile::at(self.path_of(group))?);
                Ok(())
            }
        }
    }

    /// Makes the file of a group say this, unless it does.
    pub fn set(&self, group: &GroupName, text: String) -> Result<Kept, PushedFileError> {
        let mut files = self.files();
        self.prepare()?;
        if let Some(file) = files.get(group) {
            return file.set(text);
        }
        let file = PushedFile::at(self.path_of(group))?;
        let kept = file.set(text)?;
        files.insert(group.clone(), file);
        Ok(kept)
    }

    /// Makes each file say what was last wanted of it, unless it does.
    pub fn keep(&self) -> Result<Kept, PushedFileError> {
        let files = self.files();
        self.prepare()?;
        let mut all = Kept::Unchanged;
        for file in files.values() {
            match file.keep()? {
                Kept::Unchanged => {}
                changed @ (Kept::Changed | Kept::PutBack) => all = changed,
            }
        }
        Ok(all)
    }

    /// Removes the files of groups that are not in `used`, which is asked while nobody else has the files: whoever is given a place in a group
    /// before its file is ensured keeps it.
    pub fn retain(&self, used: impl FnOnce() -> BTreeSet<GroupName>) -> Result<(), PushedFileError> {
        let mut files = self.files();
        let used = used();
        let unused: Vec<GroupName> = files.keys().filter(|group| !used.contains(*group)).cloned().collect();
        for group in unused {
            let path = self.path_of(&group);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(PushedFileError { path, source }),
            }
            files.remove(&group);
        }
        Ok(())
    }

    /// The groups that have a file. What has no name of a group is not ours.
    fn names(&self) -> io::Result<Vec<GroupName>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            names.extend(
                entry?
                    .file_name()
                    .to_str()
                    .and_then(|name| name.parse::<GroupName>().ok()),
            );
        }
        Ok(names)
    }

    /// Makes the folder where it is missing.
    fn prepare(&self) -> Result<(), PushedFileError> {
        let made = match fs::create_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        // The process's umask may have taken permissions away.
        let mode = Permissions::from_mode(DIR_MODE);
        made.and_then(|()| fs::set_permissions(&self.dir, mode))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> PushedFileError {
        PushedFileError {
            path: self.dir.clone(),
            source,
        }
    }

    /// Held while files are written, so that the last text wanted is the last one written.
    fn files(&self) -> MutexGuard<'_, BTreeMap<GroupName, PushedFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside_a_folder() -> (tempfile::TempDir, PushedGroups) {
        let state = tempfile::tempdir().expect("a folder");
        let allow = state.path().join("allow");
        fs::create_dir(&allow).expect("made");
        let groups = PushedGroups::beside(&allow).expect("a folder");
        (state, groups)
    }

    fn group(name: &str) -> GroupName {
        name.parse().expect("a name")
    }

    fn said(groups: &PushedGroups, name: &str) -> Option<String> {
        fs::read_to_string(groups.path_of(&group(name))).ok()
    }

    #[test]
    fn a_file_is_there_before_anything_is_said_and_every_account_reads_it() {
        let (state, groups) = beside_a_folder();
        groups.ensure(&group("sales")).expect("made");
        assert_eq!(said(&groups, "sales").as_deref(), Some(""));
        let root = state.path().canonicalize().expect("a path");
        assert_eq!(groups.path_of(&group("sales")), root.join("pushed.groups/sales"));
        for (path, expected) in [("pushed.groups", 0o755), ("pushed.groups/sales", 0o644)] {
            let mode = fs::metadata(root.join(path)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, expected, "{path}");
        }
    }

    #[test]
    fn what_a_file_should_say_is_put_back_with_the_folder() {
        let (state, groups) = beside_a_folder();
        assert_eq!(
            groups.set(&group("sales"), "a\n".to_owned()).expect("set"),
            Kept::Changed
        );
        assert_eq!(
            groups.set(&group("sales"), "a\n".to_owned()).expect("set"),
            Kept::Unchanged
        );
        groups.ensure(&group("sales")).expect("there");
        assert_eq!(said(&groups, "sales").as_deref(), Some("a\n"), "it stays");
        fs::write(groups.path_of(&group("sales")), "b\n").expect("edited");
        assert_eq!(groups.keep().expect("kept"), Kept::PutBack);
        fs::remove_dir_all(state.path().join("pushed.groups")).expect("removed");
        groups.ensure(&group("sales")).expect("made");
        assert_eq!(said(&groups, "sales").as_deref(), Some("a\n"));
        assert_eq!(groups.keep().expect("kept"), Kept::Unchanged);
    }

    #[test]
    fn the_next_run_finds_them_and_removes_those_of_groups_that_are_gone() {
        let (state, groups) = beside_a_folder();
        for name in ["sales", "gone"] {
            groups.set(&group(name), format!("{name}\n")).expect("set");
        }
        fs::write(state.path().join("pushed.groups/README.txt"), "of another").expect("written");

        let next = PushedGroups::beside(&state.path().join("allow")).expect("a folder");
        assert_eq!(next.keep().expect("kept"), Kept::Unchanged);
        next.retain(|| BTreeSet::from([group("sales"), group("new")]))
            .expect("removed");

        assert_eq!(
            (said(&next, "sales").as_deref(), said(&next, "gone")),
            (Some("sales\n"), None)
        );
        assert_eq!(next.keep().expect("kept"), Kept::Unchanged, "what is gone stays away");
        assert!(state.path().join("pushed.groups/README.txt").exists());
    }
}
