//! One entry of the allow-list.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    path::Path,
};

use crate::pushed_file::{PushedFile, TARGET};

const FILE_MODE: u32 = 0o644;

/// What entries are.
#[derive(Debug, Clone)]
pub(super) enum Form {
    /// Empty files.
    EmptyFile,
    /// Links to this file.
    Link(PushedFile),
}

/// What is at the place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// An entry as it should be.
    Ours,
    /// One of another mode of the agent, or of an earlier release: it lets in too.
    OtherForm,
    /// Something else. OpenVPN may let in with it.
    Altered,
    /// Nothing.
    Missing,
}

impl Form {
    /// What is there. Nothing is an error of the kind [`io::ErrorKind::NotFound`].
    pub(super) fn look(&self, place: &Path) -> io::Result<Entry> {
        match self {
            Self::Link(_) => look_for_link(place),
            Self::EmptyFile => look_for_file(place),
        }
    }

    /// Makes an entry where nothing is, if that can be done in one step. False if it cannot, or something has come there.
    pub(super) fn make_at_once(&self, place: &Path) -> io::Result<bool> {
        match self {
            Self::Link(_) => match symlink(TARGET, place) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            },
            Self::EmptyFile => Ok(false),
        }
    }

    /// Makes an entry at a place of our own, to be moved to its own.
    pub(super) fn make(&self, staged: &Path) -> io::Result<()> {
        match self {
            Self::Link(_) => symlink(TARGET, staged),
            Self::EmptyFile => write_empty(staged),
        }
    }
}

/// Mostly a link is there, which costs one call of the system.
fn look_for_link(place: &Path) -> io::Result<Entry> {
    match fs::read_link(place) {
        Ok(target) if target == Path::new(TARGET) => Ok(Entry::Ours),
        Ok(_) => Ok(Entry::Altered),
        // It is no link.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let is_of_before = is_empty_file(&fs::symlink_metadata(place)?);
            Ok(if is_of_before { Entry::OtherForm } else { Entry::Altered })
        }
        Err(error) => Err(error),
    }
}

fn look_for_file(place: &Path) -> io::Result<Entry> {
    let found = fs::symlink_metadata(place)?;
    if is_empty_file(&found) {
        return Ok(Entry::Ours);
    }
    let is_link = found.is_symlink() && fs::read_link(place)? == Path::new(TARGET);
    Ok(if is_link { Entry::OtherForm } else { Entry::Altered })
}

fn is_empty_file(found: &Metadata) -> bool {
    found.is_file() && found.len() == 0 && found.mode() & 0o777 == FILE_MODE
}

fn write_empty(place: &Path) -> io::Result<()> {
    let mut options = File::options();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(place)?;
    // The process's umask may have taken permissions away.
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}
