//! The allow-list: a folder with one entry per credential that may log in, named by its common name.
//!
//! An entry is a symbolic link to what OpenVPN pushes to clients ([`PushedFile`]) where the agent runs OpenVPN: it costs no block of the
//! disk, and making it is one step. That of a member of a group ([`Places`]) is a file with her fixed address, which reads what is pushed to
//! her group ([`PushedGroups`]). Where the agent does not run OpenVPN, an entry is an empty file, because the operator's folder may be mounted
//! elsewhere.
//!
//! OpenVPN reads it at every handshake and every rekey (`client-config-dir` with `ccd-exclusive`), as the account that it
//! drops its privileges to. So the folder and all above it must be searchable by that account: [`AllowList::open`] makes
//! the folder 0755 and its files 0644, and [`AllowList::check_reachable`] finds a closed folder above it.
//!
//! The folder is a projection of the journal, rebuilt from it at start: nothing is synced to disk here.

mod entry;
mod error;
mod members;
mod mending;

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use vpnmanager_nats::ids::CommonName;

use self::entry::{Entry, Form, Pushing, Wanted};
pub use self::{error::AllowListError, members::Welcome};
use crate::{account::Account, groups::Places, pushed_file::PushedFile, pushed_groups::PushedGroups};

const DIR_MODE: u32 = 0o755;

/// The folder of credentials that may log in. One agent owns it; clones share it.
#[derive(Debug, Clone)]
pub struct AllowList {
    dir: PathBuf,
    form: Form,
    staging: PathBuf,
    next_staged: Arc<AtomicU64>,
    /// Refused, though the file is still there: it could not be removed. OpenVPN lets them in, and whoever asks here does not.
    stuck: Arc<Mutex<HashSet<CommonName>>>,
    /// Let in as soon as the firewall holds the rules of their groups, and their entries can be made.
    held_back: Arc<Mutex<HashSet<CommonName>>>,
}

/// What is in the folder.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AllowListContents {
    /// Credentials that may log in.
    pub names: BTreeSet<CommonName>,
    /// Entries whose names cannot be a credential of ours: they let nobody in, and are left alone.
    pub foreign: Vec<String>,
}

/// What [`AllowList::mend`] had to change.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// Wanted and missing: let in.
    pub added: Vec<CommonName>,
    /// Present and not wanted: refused.
    pub removed: Vec<CommonName>,
    /// Wanted and present, with a content, a mode or a target that is not ours: written anew. What an agent makes in another mode, or made
    /// in an earlier release, is written anew and not told.
    pub repaired: Vec<CommonName>,
}

impl Reconciled {
    /// True when the folder was as it should be.
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.repaired.is_empty()
    }
}

impl AllowList {
    /// Opens a folder of empty files, making it and its staging sibling (`<dir>.staging`) where missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, AllowListError> {
        Self::open_as(dir.into(), |_| Ok(Form::EmptyFile))
    }

    /// Opens a folder of links in the same way, and of files for those who have one of the `places`. What they lead to is made beside it
    /// before any of them.
    pub fn open_pushing(dir: impl Into<PathBuf>, places: Places) -> Result<Self, AllowListError> {
        Self::open_as(dir.into(), |dir| {
            let pushing = Pushing {
                pushed: PushedFile::beside(dir)?,
                groups: PushedGroups::beside(dir)?,
                places,
            };
            Ok(Form::Pushing(pushing))
        })
    }

    fn open_as(dir: PathBuf, form: impl FnOnce(&Path) -> Result<Form, AllowListError>) -> Result<Self, AllowListError> {
        let staging = sibling(&dir, ".staging");
        make_dir(&dir, DIR_MODE)?;
        let form = form(&dir)?;
        let list = Self {
            dir,
            form,
            staging,
            next_staged: Arc::default(),
            stuck: Arc::default(),
            held_back: Arc::default(),
        };
        list.prepare()?;
        list.clear_staging()?;
        Ok(list)
    }

    /// The folder, for `client-config-dir`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What its links lead to, if it has some.
    pub fn pushed(&self) -> Option<&PushedFile> {
        match &self.form {
            Form::Pushing(pushing) => Some(&pushing.pushed),
            Form::EmptyFile => None,
        }
    }

    /// What the entries of members of groups lead to, if there are some.
    pub fn pushed_groups(&self) -> Option<&PushedGroups> {
        match &self.form {
            Form::Pushing(pushing) => Some(&pushing.groups),
            Form::EmptyFile => None,
        }
    }

    /// Lets one credential in. True when it was not allowed before. The file appears complete or not at all. One with a fixed address is let
    /// in once the firewall holds the rules of its group, unless its entry is there and right already.
    pub fn allow(&self, name: &CommonName) -> Result<bool, AllowListError> {
        let wanted = self.form.wanted(name);
        match self.entry(name, &wanted)? {
            Entry::Ours => {
                self.held_back().remove(name);
                Ok(self.stuck().remove(name))
            }
            Entry::Missing | Entry::OtherForm | Entry::Altered if self.form.holds_back(&wanted) => {
                // What is there would let it in with an address that has other rules, or none.
                self.deny(name)?;
                self.held_back().insert(name.clone());
                Ok(false)
            }
            found @ (Entry::Missing | Entry::OtherForm | Entry::Altered) => {
                self.stuck().remove(name);
                self.held_back().remove(name);
                let made = self.make(name, &wanted, found);
                if made.is_err() && wanted.is_loosened_by(found) {
                    // To remove it needs no room on the disk. What cannot be removed either is remembered.
                    _ = self.deny(name);
                    self.held_back().insert(name.clone());
                }
                made.map(|()| true)
            }
        }
    }

    /// Lets several credentials in. Gives those that are held back: they are let in as soon as the firewall holds the rules of their groups.
    ///
    /// # Errors
    /// All of them are tried, the first failure is returned.
    pub fn allow_all(&self, names: &[CommonName]) -> Result<Vec<CommonName>, AllowListError> {
        let pushed = match names.is_empty() {
            true => Ok(()),
            false => self.ensure_pushed(),
        };
        let outcomes: Vec<_> = names.iter().map(|name| self.allow(name)).collect();
        pushed?;
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))?;
        let held_back = self.held_back();
        Ok(names.iter().filter(|name| held_back.contains(*name)).cloned().collect())
    }

    /// Refuses one credential. True when it was allowed before.
    ///
    /// # Errors
    /// Its file could not be removed, as on a disk that is mounted read-only. Then OpenVPN still lets it in, and [`Self::contains`] does not.
    pub fn deny(&self, name: &CommonName) -> Result<bool, AllowListError> {
        self.held_back().remove(name);
        let was_there = match fs::remove_file(self.dir.join(name.as_str())) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => {
                self.stuck().insert(name.clone());
                return Err(AllowListError::Deny {
                    name: name.clone(),
                    source,
                });
            }
        };
        self.stuck().remove(name);
        Ok(was_there)
    }

    /// Refuses several credentials: all of them are tried, the first failure is returned.
    pub fn deny_all(&self, names: &[CommonName]) -> Result<(), AllowListError> {
        let outcomes: Vec<_> = names.iter().map(|name| self.deny(name)).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    /// Whether this credential may log in. An error when the folder itself is missing, so that nobody is cut because of a lost
    /// folder.
    pub fn contains(&self, name: &CommonName) -> Result<bool, AllowListError> {
        if self.stuck().contains(name) {
            return Ok(false);
        }
        match fs::symlink_metadata(self.dir.join(name.as_str())) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::metadata(&self.dir) {
                Ok(_) => Ok(false),
                Err(source) => Err(AllowListError::List {
                    path: self.dir.clone(),
                    source,
                }),
            },
            Err(source) => Err(AllowListError::LookUp {
                name: name.clone(),
                source,
            }),
        }
    }

    /// Who may log in.
    pub fn list(&self) -> Result<AllowListContents, AllowListError> {
        let failed = |source| AllowListError::List {
            path: self.dir.clone(),
            source,
        };
        let mut contents = AllowListContents::default();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let file_name = entry.map_err(failed)?.file_name();
            match file_name.to_str().map(str::parse) {
                Some(Ok(name)) => _ = contents.names.insert(name),
                Some(Err(_)) | None => contents.foreign.push(file_name.to_string_lossy().into_owned()),
            }
        }
        contents.foreign.sort();
        Ok(contents)
    }

    /// Checks that OpenVPN's account can search the folder and everything above it.
    pub fn check_reachable(&self, account: &Account) -> Result<(), AllowListError> {
        check_reachable(&self.dir, account)
    }

    fn stuck(&self) -> MutexGuard<'_, HashSet<CommonName>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_back(&self) -> MutexGuard<'_, HashSet<CommonName>> {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self) -> Result<(), AllowListError> {
        make_dir(&self.dir, DIR_MODE)?;
        make_dir(&self.staging, 0o700)?;
        self.ensure_pushed()
    }

    /// One look at a file.
    fn ensure_pushed(&self) -> Result<(), AllowListError> {
        match &self.form {
            Form::Pushing(pushing) => Ok(pushing.pushed.ensure()?),
            Form::EmptyFile => Ok(()),
        }
    }

    /// Removes files that a crash left between writing and renaming.
    fn clear_staging(&self) -> Result<(), AllowListError> {
        let failed = |source| AllowListError::Prepare {
            path: self.staging.clone(),
            source,
        };
        for entry in fs::read_dir(&self.staging).map_err(failed)? {
            fs::remove_file(entry.map_err(failed)?.path()).map_err(failed)?;
        }
        Ok(())
    }

    fn entry(&self, name: &CommonName, wanted: &Wanted) -> Result<Entry, AllowListError> {
        match wanted.look(&self.dir.join(name.as_str())) {
            Ok(entry) => Ok(entry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entry::Missing),
            Err(source) => Err(AllowListError::LookUp {
                name: name.clone(),
                source,
            }),
        }
    }

    /// Makes what is wanted in the place of what was found, and what it leads to before.
    fn make(&self, name: &CommonName, wanted: &Wanted, found: Entry) -> Result<(), AllowListError> {
        self.form.ensure_target(wanted)?;
        let written = self.write(name, wanted, found);
        written.map_err(|source| AllowListError::Allow {
            name: name.clone(),
            source,
        })
    }

    /// The entry appears complete or not at all, and one that is replaced lets in at every moment.
    fn write(&self, name: &CommonName, wanted: &Wanted, found: Entry) -> io::Result<()> {
        let place = self.dir.join(name.as_str());
        if found == Entry::Missing && wanted.make_at_once(&place)? {
            return Ok(());
        }
        let number = self.next_staged.fetch_add(1, Ordering::Relaxed);
        let staged = self.staging.join(format!("{name}.{number}"));
        let moved = wanted.make(&staged).and_then(|()| fs::rename(&staged, place));
        if moved.is_err() {
            // It may be there in part, and takes room.
            _ = fs::remove_file(&staged);
        }
        moved
    }
}

/// Checks that an account can search a folder and everything above it.
pub(crate) fn check_reachable(dir: &Path, account: &Account) -> Result<(), AllowListError> {
    let list = |path: &Path, source| AllowListError::List {
        path: path.to_owned(),
        source,
    };
    let dir = dir.canonicalize().map_err(|source| list(dir, source))?;
    for path in dir.ancestors() {
        let folder = fs::metadata(path).map_err(|source| list(path, source))?;
        if !account.may_search(folder.uid(), folder.gid(), folder.mode()) {
            return Err(AllowListError::Unreachable {
                account: account.name().to_string(),
                path: path.to_owned(),
                mode: folder.mode() & 0o7777,
                class: account.class(folder.uid(), folder.gid()),
            });
        }
    }
    Ok(())
}

fn sibling(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    dir.with_file_name(name)
}

fn make_dir(path: &Path, mode: u32) -> Result<(), AllowListError> {
    let failed = |source| AllowListError::Prepare {
        path: path.to_owned(),
        source,
    };
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(failed(source)),
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)
}

#[cfg(test)]
mod tests;
