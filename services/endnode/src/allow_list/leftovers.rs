//! Folders of listeners that the node has no more.

use std::{
    ffi::OsStr,
    fs::{self, DirEntry},
    io,
    path::Path,
};

use tracing::warn;

use super::folder::STAGING;
use crate::listening::listener_of;

/// Removes the folders of listeners beside the first one that are none of these, and what was staged for them. The first is always of these.
///
/// One that cannot be removed is logged, and tried again at the next start: no OpenVPN reads it any more.
pub(super) fn remove_all_but<'a>(first: &Path, kept: impl Iterator<Item = &'a Path>) {
    remove_all_but_with(first, kept, remove_folder);
}

fn remove_folder(path: &Path) -> io::Result<()> {
    fs::remove_dir_all(path)
}

fn remove_all_but_with<'a>(
    first: &Path,
    kept: impl Iterator<Item = &'a Path>,
    remove: impl Fn(&Path) -> io::Result<()>,
) {
    let Some(first_name) = first.file_name().and_then(OsStr::to_str) else {
        return;
    };
    let kept: Vec<&OsStr> = kept.filter_map(Path::file_name).collect();
    let parent = first.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let failed = |path: &Path, error: io::Error| {
        warn!(error = %error, folder = %path.display(), "The allow-list folder of a listener that this node has no more could not be removed");
    };
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) => {
            failed(parent, error);
            return;
        }
    };
    for entry in entries.filter_map(Result::ok) {
        if is_left_over(&entry, first_name, &kept)
            && let Err(error) = remove(&entry.path())
        {
            failed(&entry.path(), error);
        }
    }
}

fn is_left_over(entry: &DirEntry, first: &str, kept: &[&OsStr]) -> bool {
    let name = entry.file_name();
    let folder = name.to_str().map(|name| name.strip_suffix(STAGING).unwrap_or(name));
    let is_listeners =
        folder.is_some_and(|folder| is_of_a_listener(folder, first) && !kept.contains(&OsStr::new(folder)));
    is_listeners && entry.file_type().is_ok_and(|kind| kind.is_dir())
}

/// Whether a folder has the name of that of a listener beside the first: `allow.tcp443`.
fn is_of_a_listener(folder: &str, first: &str) -> bool {
    folder.strip_prefix(first).and_then(listener_of).is_some()
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn folders_of_listeners_are_told_by_their_names() {
        for folder in ["allow.tcp443", "allow.udp1194", "allow.udp65535"] {
            assert!(is_of_a_listener(folder, "allow"), "{folder}");
        }
        for other in [
            "allow",
            "allow.staging",
            "allow.tcp",
            "allow.tcp0",
            "allow.tcp0443",
            "allow.tcp+443",
            "allow.tcp65536",
            "allow.tcp443.old",
            "allow.sctp443",
            "allowed.tcp443",
            "allowtcp443",
            "pushed.tcp443",
        ] {
            assert!(!is_of_a_listener(other, "allow"), "{other}");
        }
    }

    #[test]
    fn one_that_cannot_be_removed_keeps_no_other_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        for name in ["allow", "allow.tcp443", "allow.udp53", "allow.udp53.staging"] {
            fs::create_dir(at(name)).expect("made");
        }
        let stuck = at("allow.tcp443");
        let remove = |path: &Path| match path == stuck {
            true => Err(io::ErrorKind::ResourceBusy.into()),
            false => remove_folder(path),
        };

        remove_all_but_with(&at("allow"), iter::once(at("allow").as_path()), remove);

        let are_there = ["allow", "allow.tcp443", "allow.udp53", "allow.udp53.staging"].map(|name| at(name).exists());
        assert_eq!(are_there, [true, true, false, false]);
        remove_all_but(&at("allow"), iter::once(at("allow").as_path()));
        assert!(!stuck.exists());
        remove_all_but(&at("none/allow"), iter::empty());
    }
}
