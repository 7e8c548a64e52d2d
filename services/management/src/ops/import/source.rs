//! Opens a source: a file or folder of this machine, or what somebody sent.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::{Builder, TempDir};
use vpnmanager_adopt::{ReadError, found::Found};
use vpnmanager_profile::profile::sha256_hex;

use super::{
    digest::of_path,
    unpack::{Tar, UnpackError, unpack},
};

/// What gzip begins with (RFC 1952), and what a tar has at [`TAR_MAGIC_AT`] (POSIX, pax).
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
const TAR_MAGIC: &[u8] = b"ustar";
const TAR_MAGIC_AT: usize = 257;
/// So many folders may be around what is in an archive.
const MOST_WRAPPERS: usize = 8;

/// A source that was read.
#[derive(Debug, Clone)]
pub struct SourceRead {
    /// What was found in it.
    pub found: Found,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
}

/// What somebody sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// A tar of a folder.
    Tar,
    /// The same, compressed by gzip.
    CompressedTar,
    /// An SQLite database.
    Sqlite,
    /// A list of users as CSV.
    Csv,
}

/// Why a source was not read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReadSourceError {
    /// The file or folder cannot be read, or there is no room to unpack it.
    #[error("the source cannot be opened")]
    Open(#[from] io::Error),
    /// It is an archive that cannot be unpacked.
    #[error(transparent)]
    Unpack(UnpackError),
    /// It is nothing that can be imported.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<UnpackError> for ReadSourceError {
    /// A full disk is not the fault of the archive.
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::Disk(error) => Self::Open(error),
            UnpackError::Io(_) | UnpackError::LeadsOut(_) | UnpackError::NoFile(_) | UnpackError::TooLarge => {
                Self::Unpack(error)
            }
        }
    }
}

/// Reads a file or folder; a tar is unpacked first. Blocks.
pub fn read_path(path: &Path) -> Result<SourceRead, ReadSourceError> {
    let found = match tar_of(path)? {
        Some(tar) => read_archive(File::open(path)?, tar)?,
        None => vpnmanager_adopt::read(path)?,
    };
    // Of what was read: a device has no end.
    let sha256 = of_path(path)?;
    Ok(SourceRead { found, sha256 })
}

/// Reads what somebody sent. Blocks.
pub fn read_sent(kind: Sent, bytes: &[u8]) -> Result<SourceRead, ReadSourceError> {
    let found = match kind {
        Sent::Tar => read_archive(bytes, Tar::Plain)?,
        Sent::CompressedTar => read_archive(bytes, Tar::Gzip)?,
        Sent::Sqlite => read_file("users.sqlite", bytes)?,
        Sent::Csv => read_file("users.csv", bytes)?,
    };
    Ok(SourceRead {
        found,
        sha256: sha256_hex(bytes),
    })
}

/// How it comes; `None`: it is no tar.
fn tar_of(path: &Path) -> io::Result<Option<Tar>> {
    if path.is_dir() {
        return Ok(None);
    }
    let mut head = Vec::new();
    let length = TAR_MAGIC_AT + TAR_MAGIC.len();
    File::open(path)?.take(length as u64).read_to_end(&mut head)?;
    Ok(if head.starts_with(GZIP_MAGIC) {
        Some(Tar::Gzip)
    } else if head.get(TAR_MAGIC_AT..) == Some(TAR_MAGIC) {
        Some(Tar::Plain)
    } else {
        None
    })
}

fn read_archive(archive: impl Read, tar: Tar) -> Result<Found, ReadSourceError> {
    let folder = private_folder()?;
    let mut left_out = unpack(archive, tar, folder.path())?;
    let mut found = vpnmanager_adopt::read(&unwrapped(folder.path())?)?;
    found.remarks.append(&mut left_out);
    Ok(found)
}

fn read_file(name: &str, bytes: &[u8]) -> Result<Found, ReadSourceError> {
    let folder = private_folder()?;
    let path = folder.path().join(name);
    fs::write(&path, bytes)?;
    Ok(vpnmanager_adopt::read(&path)?)
}

/// A folder that nobody else may enter, and that goes when it is dropped.
fn private_folder() -> io::Result<TempDir> {
    Builder::new()
        .prefix("vpnmanager-import-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

/// The folder without the folders around it: `tar -C /etc -c openvpn` puts all into one.
fn unwrapped(folder: &Path) -> io::Result<PathBuf> {
    let mut folder = folder.to_owned();
    for _ in 0..MOST_WRAPPERS {
        let mut entries = fs::read_dir(&folder)?;
        let Some(first) = entries.next().transpose()? else {
            break;
        };
        if entries.next().is_some() || !first.file_type()?.is_dir() {
            break;
        }
        folder = first.path();
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_told_by_its_content_and_not_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.csv");
        let mut tar = vec![0; TAR_MAGIC_AT];
        tar.extend(TAR_MAGIC);
        for (content, expected) in [
            (b"username\nalice\n".to_vec(), None),
            (b"\x1f\x8b\x08".to_vec(), Some(Tar::Gzip)),
            (tar, Some(Tar::Plain)),
            (Vec::new(), None),
        ] {
            fs::write(&path, content).expect("written");
            assert_eq!(tar_of(&path).expect("read"), expected);
        }
        assert_eq!(tar_of(folder.path()).expect("read"), None);
    }

    #[test]
    fn folders_around_the_content_are_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("etc/openvpn");
        fs::create_dir_all(inner.join("ccd")).expect("made");
        fs::write(inner.join("server.conf"), "port 1194\n").expect("written");
        assert_eq!(unwrapped(folder.path()).expect("read"), inner);
    }

    #[test]
    fn the_folder_of_a_source_is_private() {
        let folder = private_folder().expect("a folder");
        let mode = fs::metadata(folder.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
