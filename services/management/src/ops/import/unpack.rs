//! Unpacks an archive of a folder. Nothing of it gets out of the folder that it is unpacked into, and it fills neither the disk nor the memory. Private
//! keys are not unpacked: what was never written is not left behind when the process is killed.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Component, Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};
use vpnmanager_adopt::{
    found::{Place, Remark},
    limits::UNREAD_FOLDERS,
};
use vpnmanager_nats::bounded::shortened;

use super::budget::{Budget, Budgeted};

/// The most bytes of all files together.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// The most entries.
const MOST_ENTRIES: usize = 200_000;
/// The most bytes that are read, with what stands around files: two blocks for each entry, and what it is called.
const MOST_READ: u64 = 2 * MOST_BYTES;
/// The most bytes around one file. Names are kept in memory, and what is in a link or a folder is passed over.
const MOST_AROUND: u64 = 1024 * 1024;
/// The longest path, in bytes, and the most folders in each other.
const LONGEST_PATH: usize = 1024;
const MOST_PARTS: usize = 32;
/// The longest name that is repeated, in characters.
const LONGEST_SHOWN: usize = 255;
/// Endings of files with private keys. Reading a source needs none of them, as it needs none of [`UNREAD_FOLDERS`].
const KEYS: [&str; 4] = ["key", "p12", "pfx", "ovpn"];

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is none, it is cut off, or it has two things of one name.
    #[error("the archive cannot be read, or not be unpacked")]
    Io(#[source] io::Error),
    /// There is no room to unpack it.
    #[error("there is no room to unpack the archive")]
    Disk(#[source] io::Error),
    /// It would write outside of its folder.
    #[error("the archive has a path that leads out of it: {0}")]
    LeadsOut(String),
    /// It has a device or another thing that is neither a file, a folder nor a link.
    #[error("the archive has something that is neither a file nor a folder: {0}")]
    NoFile(String),
    /// It is larger than anything that is imported.
    #[error("the archive is too large: it has more than {} entries, or more than {} MiB unpacked, or more than a name should have where no file is", MOST_ENTRIES, MOST_BYTES >> 20)]
    TooLarge,
}

impl From<io::Error> for UnpackError {
    fn from(error: io::Error) -> Self {
        let is_of_disk = matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem
        );
        if is_of_disk { Self::Disk(error) } else { Self::Io(error) }
    }
}

/// How a tar comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tar {
    Plain,
    Gzip,
}

/// Unpacks a tar, and says what of it is left out. A link is: what it leads to may be outside.
pub(super) fn unpack(archive: impl Read, tar: Tar, into: &Path) -> Result<Vec<Remark>, UnpackError> {
    match tar {
        Tar::Plain => unpack_tar(archive, into),
        Tar::Gzip => unpack_tar(MultiGzDecoder::new(archive), into),
    }
}

fn unpack_tar(archive: impl Read, into: &Path) -> Result<Vec<Remark>, UnpackError> {
    let budget = Budget::new(MOST_READ);
    let mut unpacking = Unpacking {
        into,
        budget: &budget,
        left: MOST_BYTES,
        remarks: Vec::new(),
    };
    match unpacking.all(Budgeted::new(archive, &budget)) {
        // The library may have made an error of its own of it.
        Err(UnpackError::Io(_)) if budget.is_spent() => Err(UnpackError::TooLarge),
        Err(error) => Err(error),
        Ok(()) => Ok(unpacking.remarks),
    }
}

struct Unpacking<'a> {
    into: &'a Path,
    budget: &'a Budget,
    /// Bytes that files may still have.
    left: u64,
    remarks: Vec<Remark>,
}

impl Unpacking<'_> {
    fn all(&mut self, archive: impl Read) -> Result<(), UnpackError> {
        let mut archive = Archive::new(archive);
        self.budget.begin(MOST_AROUND);
        for (number, entry) in archive.entries()?.enumerate() {
            let mut entry = entry?;
            if number >= MOST_ENTRIES {
                return Err(UnpackError::TooLarge);
            }
            self.one(&mut entry)?;
            self.budget.begin(MOST_AROUND);
        }
        Ok(())
    }

    fn one<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), UnpackError> {
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let named = entry.path()?.into_owned();
        let shown = || shortened(&named.display().to_string(), LONGEST_SHOWN);
        let path = inside(&named).ok_or_else(|| UnpackError::LeadsOut(shown()))?;
        let what = what(kind);
        if path.as_os_str().len() > LONGEST_PATH || path.components().count() > MOST_PARTS {
            self.leave_out(
                shown(),
                "its path is too long, or too deep in folders, and it is left out",
            );
            return self.pass_over(entry);
        }
        match what {
            What::Folder => fs::create_dir_all(self.into.join(path))?,
            What::File if has_keys(&path) => self.pass_over(entry)?,
            What::File => self.write(entry, &self.into.join(path))?,
            What::Link => self.leave_out(
                shown(),
                "it is a link, and left out: pack what it leads to in its place",
            ),
            What::Other => return Err(UnpackError::NoFile(shown())),
        }
        Ok(())
    }

    fn write(&mut self, entry: &mut impl Read, path: &Path) -> Result<(), UnpackError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = File::create(path)?;
        self.copy(entry, &mut file)
    }

    /// What is not written counts as what is: it has to be read.
    fn pass_over(&mut self, entry: &mut impl Read) -> Result<(), UnpackError> {
        self.copy(entry, &mut io::sink())
    }

    fn copy(&mut self, entry: &mut impl Read, to: &mut impl io::Write) -> Result<(), UnpackError> {
        // One byte more shows that there is more. A sparse file has more than is read of it.
        self.budget.begin(self.left + MOST_AROUND);
        let written = io::copy(&mut entry.take(self.left + 1), to)?;
        self.left = self.left.checked_sub(written).ok_or(UnpackError::TooLarge)?;
        Ok(())
    }

    fn leave_out(&mut self, file: String, why: &str) {
        self.remarks.push(Remark {
            place: Place { file, line: None },
            text: why.to_owned(),
        });
    }
}

/// Whether it is a private key, or beside those of an authority.
fn has_keys(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_key = ending.is_some_and(|ending| KEYS.iter().any(|key| key.eq_ignore_ascii_case(ending)));
    let mut folders = path.parent().into_iter().flat_map(Path::components);
    is_key || folders.any(|folder| UNREAD_FOLDERS.iter().any(|name| folder.as_os_str() == *name))
}

enum What {
    File,
    Folder,
    Link,
    Other,
}

fn what(kind: EntryType) -> What {
    if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
        What::File
    } else if kind.is_dir() {
        What::Folder
    } else if kind.is_symlink() || kind.is_hard_link() {
        What::Link
    } else {
        What::Other
    }
}

/// The path below the folder; `None`: it leads out of it.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => inside.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, Header};

    use super::*;

    /// An archive with entries of these kinds and names, each with the content `V`.
    fn archive(entries: &[(EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (kind, name) in entries {
            let is_file = kind.is_file();
            let content: &[u8] = if is_file { b"V" } else { b"" };
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o600);
            header.set_size(content.len() as u64);
            if let Some(place) = header.as_old_mut().name.get_mut(..name.len()) {
                place.copy_from_slice(name.as_bytes());
            }
            if !is_file && !kind.is_dir() {
                header.set_link_name("/etc/passwd").expect("a name");
            }
            header.set_cksum();
            builder.append(&header, content).expect("appended");
        }
        builder.into_inner().expect("an archive")
    }

    #[test]
    fn files_are_unpacked_from_a_tar_and_from_a_compressed_one() {
        let plain = archive(&[
            (EntryType::Directory, "./pki/"),
            (EntryType::Regular, "./pki/index.txt"),
            (EntryType::Regular, "ccd/alice"),
        ]);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).expect("compressed");
        let compressed = encoder.finish().expect("compressed");
        for (bytes, tar) in [(plain, Tar::Plain), (compressed, Tar::Gzip)] {
            let folder = tempfile::tempdir().expect("a folder");
            let remarks = unpack(bytes.as_slice(), tar, folder.path()).expect("unpacked");
            assert_eq!(remarks, []);
            for file in ["pki/index.txt", "ccd/alice"] {
                assert_eq!(fs::read(folder.path().join(file)).expect(file), b"V");
            }
        }
    }

    #[test]
    fn what_leads_out_or_is_a_device_is_refused_and_a_link_is_named() {
        for name in ["../evil", "pki/../../evil", "/etc/evil"] {
            let folder = tempfile::tempdir().expect("a folder");
            let refused = unpack(
                archive(&[(EntryType::Regular, name)]).as_slice(),
                Tar::Plain,
                folder.path(),
            );
            assert!(matches!(refused, Err(UnpackError::LeadsOut(_))), "{name}: {refused:?}");
        }
        for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
            let folder = tempfile::tempdir().expect("a folder");
            let refused = unpack(archive(&[(kind, "dev")]).as_slice(), Tar::Plain, folder.path());
            assert!(matches!(refused, Err(UnpackError::NoFile(_))), "{kind:?}: {refused:?}");
        }
        for kind in [EntryType::Symlink, EntryType::Link] {
            let folder = tempfile::tempdir().expect("a folder");
            let remarks = unpack(archive(&[(kind, "passwd")]).as_slice(), Tar::Plain, folder.path());
            assert_eq!(remarks.expect("unpacked").len(), 1, "{kind:?}");
            assert!(!folder.path().join("passwd").exists());
        }
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "x".repeat(2_000);
        unpack(text.as_bytes(), Tar::Plain, folder.path()).unwrap_err();
        unpack(text.as_bytes(), Tar::Gzip, folder.path()).unwrap_err();
    }

    /// An entry of that kind with so many bytes in it, and a file behind it.
    fn with_bytes(kind: EntryType, bytes: usize) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_path("large").expect("a name");
        header.set_entry_type(kind);
        header.set_mode(0o600);
        header.set_size(bytes as u64);
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder
            .append(&header, io::repeat(b'a').take(bytes as u64))
            .expect("appended");
        let mut large = builder.into_inner().expect("an archive");
        // Two empty blocks end it.
        large.truncate(large.len() - 1024);
        large.extend(archive(&[(EntryType::Regular, "small")]));
        large
    }

    #[test]
    fn what_is_around_files_fills_neither_memory_nor_time() {
        let most = usize::try_from(MOST_AROUND).expect("a size");
        for kind in [
            EntryType::GNULongName,
            EntryType::Symlink,
            EntryType::Directory,
            EntryType::XHeader,
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let refused = unpack(with_bytes(kind, 2 * most).as_slice(), Tar::Plain, folder.path());
            assert!(matches!(refused, Err(UnpackError::TooLarge)), "{kind:?}: {refused:?}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        unpack(
            with_bytes(EntryType::Regular, 2 * most).as_slice(),
            Tar::Plain,
            folder.path(),
        )
        .expect("unpacked");
        assert_eq!(fs::read(folder.path().join("small")).expect("read"), b"V");
        let long = with_bytes(EntryType::GNULongName, 2 * LONGEST_PATH);
        let folder = tempfile::tempdir().expect("a folder");
        let remarks = unpack(long.as_slice(), Tar::Plain, folder.path()).expect("unpacked");
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].place.file.chars().count() <= LONGEST_SHOWN);
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 0);
    }

    #[test]
    fn folders_are_not_made_as_deep_as_somebody_likes() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = "a/".repeat(MOST_PARTS + 1);
        let remarks = unpack(
            archive(&[(EntryType::Directory, deep.as_str())]).as_slice(),
            Tar::Plain,
            folder.path(),
        );
        assert_eq!(remarks.expect("unpacked").len(), 1);
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn private_keys_are_never_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = [
            "keys/alice.key",
            "keys/ALICE.KEY",
            "keys/alice.p12",
            "alice.ovpn",
            "pki/private/ca",
            "pki/inline/alice.inline",
            "pki/issued/alice.crt",
        ];
        let entries = names.map(|name| (EntryType::Regular, name));
        let remarks = unpack(archive(&entries).as_slice(), Tar::Plain, folder.path());
        assert_eq!(remarks.expect("unpacked"), []);
        let there: Vec<&str> = names
            .into_iter()
            .filter(|name| folder.path().join(name).exists())
            .collect();
        assert_eq!(there, ["pki/issued/alice.crt"]);
    }

    #[test]
    fn a_file_where_a_folder_is_wanted_is_the_fault_of_the_archive() {
        let folder = tempfile::tempdir().expect("a folder");
        let both = archive(&[(EntryType::Regular, "a"), (EntryType::Regular, "a/b")]);
        let refused = unpack(both.as_slice(), Tar::Plain, folder.path());
        assert!(matches!(refused, Err(UnpackError::Io(_))), "{refused:?}");
    }
}
