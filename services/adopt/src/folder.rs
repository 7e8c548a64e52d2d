//! The files of a source. Nothing outside of it is read, whatever its links and its configuration name.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    error::ReadError,
    found::{Place, Remark},
    limits::{MOST_BYTES, MOST_FILES, UNREAD_FOLDERS},
};

/// Folders in each other.
const DEPTH: usize = 16;

/// A folder, or a single file.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where the names of files start.
    base: PathBuf,
    /// All that may be read.
    within: PathBuf,
}

/// The regular files of a folder and of those below it.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// By folder, in the order of their names.
    pub(crate) folders: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// What was not looked at.
    pub(crate) remarks: Vec<Remark>,
}

impl Folder {
    pub(crate) fn of(source: &Path) -> Result<Self, ReadError> {
        let within = source.canonicalize().map_err(|error| failed(source, error))?;
        let base = match within.parent() {
            Some(parent) if !within.is_dir() => parent.to_owned(),
            _ => within.clone(),
        };
        Ok(Self { base, within })
    }

    /// The file, if it is a single one.
    pub(crate) fn single(&self) -> Option<&Path> {
        self.within
            .strip_prefix(&self.base)
            .ok()
            .filter(|file| !file.as_os_str().is_empty())
    }

    /// Where a file of the source is.
    pub(crate) fn path(&self, file: &Path) -> Result<PathBuf, ReadError> {
        let path = self.base.join(file);
        let path = path.canonicalize().map_err(|error| failed(file, error))?;
        if path.starts_with(&self.within) {
            Ok(path)
        } else {
            Err(ReadError::LeadsOut { file: file.to_owned() })
        }
    }

    pub(crate) fn read(&self, file: &Path) -> Result<Vec<u8>, ReadError> {
        let path = self.path(file)?;
        // Before it is opened: opening a pipe waits for somebody who writes.
        let metadata = fs::metadata(&path).map_err(|error| failed(file, error))?;
        if !metadata.is_file() {
            return Err(ReadError::NoFile { file: file.to_owned() });
        }
        let mut bytes = Vec::new();
        let opened = File::open(&path).map_err(|error| failed(file, error))?;
        let mut bounded = opened.take(MOST_BYTES + 1);
        bounded.read_to_end(&mut bytes).map_err(|error| failed(file, error))?;
        if bounded.limit() == 0 {
            return Err(ReadError::TooLarge { file: file.to_owned() });
        }
        Ok(bytes)
    }

    /// The file of the source that a configuration means. It may name a place of the machine that the source was copied from: the longest end of
    /// an absolute path that is there counts.
    pub(crate) fn find(&self, named: &Path) -> Option<PathBuf> {
        let parts: Vec<_> = named.components().collect();
        let ends = if named.is_absolute() { parts.len() } else { 1 };
        (0..ends).find_map(|from| {
            let end: PathBuf = parts.get(from..)?.iter().collect();
            let path = self.path(&end).ok()?;
            path.strip_prefix(&self.base).ok().map(Path::to_owned)
        })
    }

    pub(crate) fn list(&self) -> Result<Listing, ReadError> {
        let mut listing = Listing::default();
        let mut ahead = vec![(PathBuf::new(), 0)];
        let mut count = 0;
        while let Some((folder, depth)) = ahead.pop() {
            let entries = match fs::read_dir(self.base.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return Err(failed(&self.base, error)),
                Err(error) => {
                    let text = format!("the folder cannot be read, and is left out: {error}");
                    listing.remarks.push(Place::file(&folder).remark(text));
                    continue;
                }
            };
            for entry in entries {
                let entry = entry.map_err(|error| failed(&folder, error))?;
                count += 1;
                if count > MOST_FILES {
                    return Err(ReadError::TooManyFiles);
                }
                let path = folder.join(entry.file_name());
                let kind = entry.file_type().map_err(|error| failed(&path, error))?;
                if kind.is_symlink() {
                    listing.remarks.extend(self.remark_of_link(&path));
                } else if kind.is_file() {
                    listing.folders.entry(folder.clone()).or_default().push(path);
                } else if kind.is_dir() && depth == DEPTH {
                    let text = "the folder is too deep in others, and is left out";
                    listing.remarks.push(Place::file(&path).remark(text));
                } else if kind.is_dir() && !UNREAD_FOLDERS.iter().any(|name| entry.file_name() == *name) {
                    ahead.push((path, depth + 1));
                }
            }
        }
        listing.folders.values_mut().for_each(|files| files.sort());
        listing.remarks.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(listing)
    }

    /// What a link within the source leads to is there by itself.
    fn remark_of_link(&self, link: &Path) -> Option<Remark> {
        let text = match self.path(link) {
            Ok(_) => return None,
            Err(ReadError::LeadsOut { .. }) => "the link leads out of the source, and is left out",
            Err(_) => "the link leads nowhere, and is left out",
        };
        Some(Place::file(link).remark(text))
    }
}

impl Listing {
    /// The files of one folder, without those of folders in it.
    pub(crate) fn files(&self, folder: &Path) -> &[PathBuf] {
        self.folders.get(folder).map_or(&[], Vec::as_slice)
    }
}

fn failed(file: &Path, source: io::Error) -> ReadError {
    ReadError::Io {
        file: file.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_that_lead_out_are_neither_listed_nor_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let source = dir.path().join("source");
        fs::create_dir_all(source.join("pki/private")).expect("folders");
        for (file, text) in [
            ("outside", "secret"),
            ("source/pki/ca.crt", "ca"),
            ("source/pki/private/ca.key", "key"),
        ] {
            fs::write(dir.path().join(file), text).expect("written");
        }
        symlink("../outside", source.join("passwd")).expect("a link");
        symlink("pki/ca.crt", source.join("ca.crt")).expect("a link");
        symlink("nothing", source.join("lost")).expect("a link");
        symlink(".", source.join("pki/round")).expect("a link");

        let folder = Folder::of(&source).expect("a folder");
        let listing = folder.list().expect("listed");
        let files: Vec<_> = listing.folders.values().flatten().collect();
        assert_eq!(files, [Path::new("pki/ca.crt")]);
        let left_out: Vec<_> = listing
            .remarks
            .iter()
            .map(|remark| remark.place.file.as_str())
            .collect();
        assert_eq!(left_out, ["lost", "passwd"]);
        for file in ["passwd", "../outside", "pki/../../outside"] {
            let refused = folder.read(Path::new(file));
            assert!(
                matches!(refused, Err(ReadError::LeadsOut { .. })),
                "{file}: {refused:?}"
            );
        }
        assert_eq!(folder.read(Path::new("ca.crt")).expect("read"), b"ca");
        let refused = folder.read(Path::new("pki"));
        assert!(matches!(refused, Err(ReadError::NoFile { .. })), "{refused:?}");
    }

    #[test]
    fn a_path_of_the_old_machine_is_found_by_its_end() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("server/keys")).expect("folders");
        fs::write(dir.path().join("server/keys/ca.crt"), "ca").expect("written");
        let folder = Folder::of(dir.path()).expect("a folder");
        let found = |named: &str| folder.find(Path::new(named));
        let file = Some(PathBuf::from("server/keys/ca.crt"));
        assert_eq!(found("server/keys/ca.crt"), file);
        assert_eq!(found("/etc/openvpn/server/keys/ca.crt"), file);
        assert_eq!(
            found(&dir.path().join("server/keys/ca.crt").display().to_string()),
            file
        );
        for lost in ["keys/ca.crt", "/etc/openvpn/ca.crt", "../ca.crt", "/etc/passwd"] {
            assert_eq!(found(lost), None, "{lost}");
        }
    }

    #[test]
    fn a_single_file_brings_nothing_beside_it_along() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["server.conf", "ca.crt"] {
            fs::write(dir.path().join(name), name).expect("written");
        }
        let file = Folder::of(&dir.path().join("server.conf")).expect("a file");
        assert_eq!(file.read(Path::new("server.conf")).expect("read"), b"server.conf");
        assert_eq!(file.find(Path::new("ca.crt")), None);
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let (fits, large) = (dir.path().join("fits"), dir.path().join("large"));
        for (file, bytes) in [(&fits, MOST_BYTES), (&large, MOST_BYTES + 1)] {
            File::create(file).and_then(|file| file.set_len(bytes)).expect("made");
        }
        let folder = Folder::of(dir.path()).expect("a folder");
        assert_eq!(folder.read(Path::new("fits")).expect("read").len() as u64, MOST_BYTES);
        let refused = folder.read(Path::new("large"));
        assert!(matches!(refused, Err(ReadError::TooLarge { .. })));
    }
}
