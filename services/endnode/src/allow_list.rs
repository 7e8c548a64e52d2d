//! The allow-list: a folder with one entry per credential that may log in, named by its common name.
//!
//! An entry is a symbolic link to what OpenVPN pushes to clients ([`PushedFile`]) where the agent runs OpenVPN: it costs no block of the
//! disk, and making it is one step. That of a member of a group ([`Places`]) is a file with her fixed address, which reads what is pushed to
//! her group ([`PushedGroups`]). Where the agent does not run OpenVPN, an entry is an empty file, because the operator's folder may be mounted
//! elsewhere.
//!
//! A node with several listeners has a folder for each, because members have another address in each tunnel. They are one list: whoever is let
//! in or refused is so in all of them.
//!
//! The old listener has a list of its own ([`AllowList::open_telling`]), of old certificates: neither knows the names of the other.
//!
//! OpenVPN reads it at every handshake and every rekey (`client-config-dir` with `ccd-exclusive`), as the account that it
//! drops its privileges to. So the folder and all above it must be searchable by that account: [`AllowList::open`] makes
//! the folder 0755 and its files 0644, and [`AllowList::check_reachable`] finds a closed folder above it.
//!
//! The folder is a projection of the journal, rebuilt from it at start: nothing is synced to disk here.

mod contents;
mod entry;
mod error;
mod folder;
mod leftovers;
mod members;
mod mending;
mod told;

use std::{
    fs, iter,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use vpnmanager_nats::ids::CommonName;

pub use self::{contents::AllowListContents, error::AllowListError, members::Welcome, told::Told};
use self::{
    entry::{Form, Pushing},
    folder::Folder,
};
use crate::{
    account::Account, groups::Places, listening::ListenerNumber, pushed_file::PushedFile, pushed_groups::PushedGroups,
};

/// The credentials that may log in. One agent owns its folders; clones share them.
#[derive(Debug, Clone)]
pub struct AllowList {
    first: Folder,
    others: Vec<Folder>,
    form: Form,
}

/// What [`AllowList::mend`] had to change.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// Wanted and missing at a listener: let in.
    pub added: Vec<CommonName>,
    /// Present at a listener and not wanted: refused.
    pub removed: Vec<CommonName>,
    /// Wanted and present everywhere, somewhere with a content, a mode or a target that is not ours: written anew. What an agent makes in
    /// another mode, or made in an earlier release, is written anew and not told.
    pub repaired: Vec<CommonName>,
}

impl Reconciled {
    /// True when the list was as it should be.
    pub fn is_unchanged(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.repaired.is_empty()
    }

    /// What was changed of two lists.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.added.extend(other.added);
        self.removed.extend(other.removed);
        self.repaired.extend(other.repaired);
        self
    }
}

impl AllowList {
    /// Opens a folder of empty files, making it and its staging sibling (`<dir>.staging`) where missing. Folders of listeners beside it
    /// (`<dir>.tcp443`) are removed: whoever has empty files has no other listener.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, AllowListError> {
        let first = Folder::open(dir.into(), ListenerNumber::FIRST)?;
        Self::of(first, Vec::new(), Form::EmptyFile)
    }

    /// Opens the folders of the node's listeners, in their order, in the same way: of links, and of files for those who have one of the
    /// `places`, with an address in the slice of the listener. All are beside the first, and what they lead to is made there. Folders of
    /// listeners that are none of these are removed.
    ///
    /// # Errors
    /// There is no folder among `dirs`, or one cannot be made. One that is left over and cannot be removed is logged.
    pub fn open_pushing(dirs: Vec<PathBuf>, places: Places) -> Result<Self, AllowListError> {
        let folders = dirs.into_iter().enumerate();
        let folders = folders.map(|(number, dir)| Folder::open(dir, ListenerNumber(number)));
        let mut folders = folders.collect::<Result<Vec<_>, _>>()?.into_iter();
        let first = folders.next().ok_or(AllowListError::NoFolder)?;
        let others: Vec<Folder> = folders.collect();
        let pushing = Pushing {
            pushed: PushedFile::beside(first.dir())?,
            groups: PushedGroups::beside(first.dir())?,
            places,
        };
        Self::of(first, others, Form::Pushing(pushing))
    }

    /// Opens a folder of files that say what was told of each credential. One of which nothing was told is not let in.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open_telling(dir: impl Into<PathBuf>, told: Told) -> Result<Self, AllowListError> {
        let first = Folder::open(dir.into(), ListenerNumber::FIRST)?;
        Self::of(first, Vec::new(), Form::Told(told))
    }

    fn of(first: Folder, others: Vec<Folder>, form: Form) -> Result<Self, AllowListError> {
        let list = Self { first, others, form };
        leftovers::remove_all_but(list.dir(), list.dirs());
        list.ensure_pushed()?;
        Ok(list)
    }

    /// The folder of the first listener, for `client-config-dir`.
    pub fn dir(&self) -> &Path {
        self.first.dir()
    }

    /// The folders of all listeners, in their order.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.folders().map(Folder::dir)
    }

    /// What its links lead to, if it has some.
    pub fn pushed(&self) -> Option<&PushedFile> {
        match &self.form {
            Form::Pushing(pushing) => Some(&pushing.pushed),
            Form::EmptyFile | Form::Told(_) => None,
        }
    }

    /// What the entries of members of groups lead to, if there are some.
    pub fn pushed_groups(&self) -> Option<&PushedGroups> {
        match &self.form {
            Form::Pushing(pushing) => Some(&pushing.groups),
            Form::EmptyFile | Form::Told(_) => None,
        }
    }

    /// Lets one credential in at all listeners. True when it was not allowed before at one of them. A file appears complete or not at all. One
    /// with a fixed address is let in once the firewall holds the rules of its group, except where its entry is there and right already.
    ///
    /// # Errors
    /// It could not be let in everywhere: all folders are tried, the first failure is returned. [`Self::compare`] names it then.
    pub fn allow(&self, name: &CommonName) -> Result<bool, AllowListError> {
        // One look for all: what becomes of it is the same everywhere.
        let arrival = self.form.arrival(name);
        any(self.folders().map(|folder| folder.allow(&self.form, &arrival)))
    }

    /// Lets several credentials in. Gives those that are held back at a listener: they are let in as soon as the firewall holds the rules of
    /// their groups.
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
        let is_held_back = |name: &&CommonName| self.folders().any(|folder| folder.held_back().contains(*name));
        Ok(names.iter().filter(is_held_back).cloned().collect())
    }

    /// Refuses one credential at all listeners. True when it was allowed before at one of them.
    ///
    /// # Errors
    /// Its file could not be removed in one of the folders, as on a disk that is mounted read-only; it is in the others. Then OpenVPN still lets
    /// it in there, and [`Self::contains`] does not.
    pub fn deny(&self, name: &CommonName) -> Result<bool, AllowListError> {
        any(self.folders().map(|folder| folder.deny(name)))
    }

    /// Refuses several credentials: all of them are tried, the first failure is returned.
    pub fn deny_all(&self, names: &[CommonName]) -> Result<(), AllowListError> {
        let outcomes: Vec<_> = names.iter().map(|name| self.deny(name)).collect();
        outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
    }

    /// Whether this credential may log in at any listener. An error when a folder itself is missing and no other one has it, so that nobody is
    /// cut because of a lost folder.
    pub fn contains(&self, name: &CommonName) -> Result<bool, AllowListError> {
        let mut first_failure = None;
        for folder in self.folders() {
            match folder.contains(name) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(failure) => _ = first_failure.get_or_insert(failure),
            }
        }
        first_failure.map_or(Ok(false), Err)
    }

    /// Who may log in at any listener.
    pub fn list(&self) -> Result<AllowListContents, AllowListError> {
        let mut contents = AllowListContents::default();
        for folder in self.folders() {
            let AllowListContents { names, foreign } = folder.list()?;
            contents.names.extend(names);
            contents.foreign.extend(foreign);
        }
        contents.foreign.sort();
        contents.foreign.dedup();
        Ok(contents)
    }

    /// Checks that OpenVPN's account can search all folders and everything above them.
    pub fn check_reachable(&self, account: &Account) -> Result<(), AllowListError> {
        self.dirs().try_for_each(|dir| check_reachable(dir, account))
    }

    fn folders(&self) -> impl Iterator<Item = &Folder> {
        iter::once(&self.first).chain(&self.others)
    }

    fn prepare(&self) -> Result<(), AllowListError> {
        self.folders().try_for_each(Folder::prepare)?;
        self.ensure_pushed()
    }

    /// One look at a file.
    fn ensure_pushed(&self) -> Result<(), AllowListError> {
        match &self.form {
            Form::Pushing(pushing) => Ok(pushing.pushed.ensure()?),
            Form::EmptyFile | Form::Told(_) => Ok(()),
        }
    }
}

/// Whether it is so in any folder. All are tried, the first failure is returned.
fn any(folders: impl Iterator<Item = Result<bool, AllowListError>>) -> Result<bool, AllowListError> {
    let outcomes: Vec<_> = folders.collect();
    let mut is_any = false;
    for outcome in outcomes {
        is_any |= outcome?;
    }
    Ok(is_any)
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

#[cfg(test)]
mod tests;
