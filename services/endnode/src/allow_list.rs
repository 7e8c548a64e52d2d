//! The allow-list: a folder with one empty file per credential that may log in, named by its common name.
//!
//! OpenVPN reads it at every handshake and every rekey (`client-config-dir` with `ccd-exclusive`), as the account that it
//! drops its privileges to. So the folder and all above it must be searchable by that account: [`AllowList::open`] makes
//! the folder 0755 and its files 0644, and [`AllowList::check_reachable`] finds a closed folder above it.
//!
//! The folder is a projection of the journal, rebuilt from it at start: nothing is synced to disk here.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use vpnmanager_nats::ids::CommonName;

use crate::account::Account;

const DIR_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// The folder of credentials that may log in. One agent owns it; clones share it.
#[derive(Debug, Clone)]
pub struct AllowList {
    dir: PathBuf,
    staging: PathBuf,
    next_staged: Arc<AtomicU64>,
    /// Refused, though the file is still there: it could not be removed. OpenVPN lets them in, and whoever asks here does not.
    stuck: Arc<Mutex<HashSet<CommonName>>>,
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
    /// Wanted and present, with a content or mode that is not ours: written anew.
    pub repaired: Vec<CommonName>,
}

impl Reconciled {
    /// True when the folder was as it should be.
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.repaired.is_empty()
    }
}

/// The folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum AllowListError {
    /// The folder could not be made, or is no folder.
    #[error("cannot prepare the allow-list folder {}", path.display())]
    Prepare {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder could not be listed.
    #[error("cannot list the allow-list folder {}", path.display())]
    List {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// One file could not be looked at.
    #[error("cannot look up {name} in the allow-list")]
    LookUp {
        /// Which credential.
        name: CommonName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A credential could not be let in.
    #[error("cannot allow {name}")]
    Allow {
        /// Which credential.
        name: CommonName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A credential could not be refused. It may still log in.
    #[error("cannot deny {name}")]
    Deny {
        /// Which credential.
        name: CommonName,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// OpenVPN's account cannot search a folder on the way: everybody would be refused.
    #[error(
        "the account {account} of OpenVPN cannot search {} (mode {mode:o}), so everybody is refused: `chmod {class}+x {}`",
        path.display(),
        path.display()
    )]
    Unreachable {
        /// The account that OpenVPN runs as.
        account: String,
        /// The closed folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Whose bits count for the account, as chmod(1) calls it.
        class: char,
    },
}

impl AllowList {
    /// Opens the folder, making it and its staging sibling (`<dir>.staging`) where missing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, AllowListError> {
        let dir = dir.into();
        let staging = sibling(&dir, ".staging");
        let list = Self {
            dir,
            staging,
            next_staged: Arc::default(),
            stuck: Arc::default(),
        };
        list.prepare()?;
        list.clear_staging()?;
        Ok(list)
    }

    /// The folder, for `client-config-dir`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Lets one credential in. True when it was not allowed before. The file appears complete or not at all.
    pub fn allow(&self, name: &CommonName) -> Result<bool, AllowListError> {
        let was_stuck = self.stuck().remove(name);
        match self.entry(name)? {
            Entry::Ours => Ok(was_stuck),
            Entry::Missing | Entry::Altered => {
                self.write(name).map_err(|source| AllowListError::Allow {
                    name: name.clone(),
                    source,
                })?;
                Ok(true)
            }
        }
    }

    /// Lets several credentials in.
    pub fn allow_all(&self, names: &[CommonName]) -> Result<(), AllowListError> {
        names.iter().try_for_each(|name| self.allow(name).map(drop))
    }

    /// Refuses one credential. True when it was allowed before.
    ///
    /// # Errors
    /// Its file could not be removed, as on a disk that is mounted read-only. Then OpenVPN still lets it in, and [`Self::contains`] does not.
    pub fn deny(&self, name: &CommonName) -> Result<bool, AllowListError> {
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
        match self.entry(name)? {
            Entry::Ours | Entry::Altered => Ok(true),
            Entry::Missing => match fs::metadata(&self.dir) {
                Ok(_) => Ok(false),
                Err(source) => Err(AllowListError::List {
                    path: self.dir.clone(),
                    source,
                }),
            },
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

    /// The credentials whose file is not as `wanted` has it. Changes nothing but a lost folder, which is made again.
    pub fn compare(&self, wanted: &BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, AllowListError> {
        self.prepare()?;
        let present = self.list()?.names;
        let mut differing: BTreeSet<CommonName> = present.symmetric_difference(wanted).cloned().collect();
        for name in present.intersection(wanted) {
            if !matches!(self.entry(name)?, Entry::Ours) {
                differing.insert(name.clone());
            }
        }
        Ok(differing)
    }

    /// The same on a thread of its own: it looks at each file.
    pub async fn compare_beside(&self, wanted: BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, AllowListError> {
        let list = self.clone();
        match tokio::task::spawn_blocking(move || list.compare(&wanted)).await {
            Ok(differing) => differing,
            Err(join) => match join.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process stops.
                Err(_cancelled) => Ok(BTreeSet::new()),
            },
        }
    }

    /// Of these credentials, refuses those that are not `wanted`, and then lets in the others.
    ///
    /// # Errors
    /// The first failure. All that are not wanted are refused before, as far as the disk lets.
    pub fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> Result<Reconciled, AllowListError> {
        let mut changes = Reconciled::default();
        let unwanted = names.difference(wanted);
        let denied: Vec<_> = unwanted.map(|name| (name, self.deny(name))).collect();
        for (name, was_there) in denied {
            if was_there? {
                changes.removed.push(name.clone());
            }
        }
        for name in names.intersection(wanted) {
            let was_there = !matches!(self.entry(name)?, Entry::Missing);
            if !self.allow(name)? {
                continue;
            }
            if was_there {
                changes.repaired.push(name.clone());
            } else {
                changes.added.push(name.clone());
            }
        }
        Ok(changes)
    }

    /// Checks that OpenVPN's account can search the folder and everything above it.
    pub fn check_reachable(&self, account: &Account) -> Result<(), AllowListError> {
        check_reachable(&self.dir, account)
    }

    fn stuck(&self) -> MutexGuard<'_, HashSet<CommonName>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self) -> Result<(), AllowListError> {
        make_dir(&self.dir, DIR_MODE)?;
        make_dir(&self.staging, 0o700)
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

    fn entry(&self, name: &CommonName) -> Result<Entry, AllowListError> {
        match fs::symlink_metadata(self.dir.join(name.as_str())) {
            Ok(file) if file.is_file() && file.len() == 0 && file.mode() & 0o777 == FILE_MODE => Ok(Entry::Ours),
            Ok(_) => Ok(Entry::Altered),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entry::Missing),
            Err(source) => Err(AllowListError::LookUp {
                name: name.clone(),
                source,
            }),
        }
    }

    fn write(&self, name: &CommonName) -> io::Result<()> {
        let number = self.next_staged.fetch_add(1, Ordering::Relaxed);
        let staged = self.staging.join(format!("{name}.{number}"));
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&staged)?;
        // The process's umask may have taken permissions away.
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        fs::rename(&staged, self.dir.join(name.as_str()))
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

enum Entry {
    Ours,
    Altered,
    Missing,
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
