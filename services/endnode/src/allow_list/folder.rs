//! The folder of one listener.

use std::{
    collections::HashSet,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use vpnmanager_nats::ids::CommonName;

use super::{
    contents::AllowListContents,
    entry::{Arrival, Entry, Form, Wanted},
    error::AllowListError,
};
use crate::listening::ListenerNumber;

const DIR_MODE: u32 = 0o755;
/// Behind the name of a folder: where entries are made before they are moved into it.
pub(super) const STAGING: &str = ".staging";

/// The folder of one listener: who may log in there. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    dir: PathBuf,
    number: ListenerNumber,
    pub(super) staging: PathBuf,
    next_staged: Arc<AtomicU64>,
    /// Refused, though the file is still there: it could not be removed. OpenVPN lets them in, and whoever asks here does not.
    stuck: Arc<Mutex<HashSet<CommonName>>>,
    /// Let in as soon as the firewall holds the rules of their groups, and their entries can be made.
    held_back: Arc<Mutex<HashSet<CommonName>>>,
}

impl Folder {
    /// The folder of this listener. It and its staging sibling are made where they are missing.
    pub(super) fn open(dir: PathBuf, number: ListenerNumber) -> Result<Self, AllowListError> {
        let staging = sibling(&dir, STAGING);
        let folder = Self {
            dir,
            number,
            staging,
            next_staged: Arc::default(),
            stuck: Arc::default(),
            held_back: Arc::default(),
        };
        folder.prepare()?;
        folder.clear_staging()?;
        Ok(folder)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Which listener it is of.
    pub(super) fn number(&self) -> ListenerNumber {
        self.number
    }

    /// Makes the folders where they were lost.
    pub(super) fn prepare(&self) -> Result<(), AllowListError> {
        make_dir(&self.dir, DIR_MODE)?;
        make_dir(&self.staging, 0o700)
    }

    /// Lets one credential in. True when it was not allowed before.
    pub(super) fn allow(&self, form: &Form, arrival: &Arrival<'_>) -> Result<bool, AllowListError> {
        let name = arrival.name;
        let wanted = form.wanted(arrival, self.number);
        match self.entry(name, &wanted)? {
            Entry::Ours => {
                self.held_back().remove(name);
                Ok(self.stuck().remove(name))
            }
            Entry::Missing | Entry::OtherForm | Entry::Altered if arrival.is_held_back => {
                // What is there would let it in with an address that has other rules, or none.
                self.deny(name)?;
                self.held_back().insert(name.clone());
                Ok(false)
            }
            found @ (Entry::Missing | Entry::OtherForm | Entry::Altered) => {
                self.stuck().remove(name);
                self.held_back().remove(name);
                let leads_somewhere = form.ensure_target(&arrival.seat).map_err(AllowListError::from);
                let made = leads_somewhere.and_then(|()| self.make(name, &wanted, found));
                if made.is_err() && wanted.is_loosened_by(found) {
                    // To remove it needs no room on the disk. What cannot be removed either is remembered.
                    _ = self.deny(name);
                    self.held_back().insert(name.clone());
                }
                made.map(|()| true)
            }
        }
    }

    /// Refuses one credential. True when it was allowed before.
    pub(super) fn deny(&self, name: &CommonName) -> Result<bool, AllowListError> {
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

    /// Whether this credential may log in. An error when the folder itself is missing.
    pub(super) fn contains(&self, name: &CommonName) -> Result<bool, AllowListError> {
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
    pub(super) fn list(&self) -> Result<AllowListContents, AllowListError> {
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

    /// What is there of whoever is to be let in.
    pub(super) fn entry_of(&self, form: &Form, arrival: &Arrival<'_>) -> Result<Entry, AllowListError> {
        self.entry(arrival.name, &form.wanted(arrival, self.number))
    }

    pub(super) fn held_back(&self) -> MutexGuard<'_, HashSet<CommonName>> {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stuck(&self) -> MutexGuard<'_, HashSet<CommonName>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Makes what is wanted in the place of what was found.
    fn make(&self, name: &CommonName, wanted: &Wanted, found: Entry) -> Result<(), AllowListError> {
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

/// The folder beside this one with this behind its name.
pub(super) fn sibling(dir: &Path, suffix: &str) -> PathBuf {
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
