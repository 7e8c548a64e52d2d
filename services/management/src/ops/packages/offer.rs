//! Finds the packages that this release hands out.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

use crate::domain::agent_package::{AgentPackage, newest};

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;

/// A package with what is in it, as a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Which one.
    pub package: AgentPackage,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
}

/// The packages cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The folder, or a file in it.
    #[error("reading the packages in {} failed", .folder.display())]
    Read {
        /// `PACKAGES_DIR`.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The thread that read them ended before it was done.
    #[error("reading the packages was cut short")]
    CutShort(#[source] tokio::task::JoinError),
}

/// The newest package of this release for each architecture. A folder that is not there holds none.
pub async fn offer(folder: &Path) -> Result<Vec<Offered>, OfferError> {
    let read_in = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || read_packages(&read_in)).await;
    read.map_err(OfferError::CutShort)?.map_err(|source| OfferError::Read {
        folder: folder.to_owned(),
        source,
    })
}

fn read_packages(folder: &Path) -> io::Result<Vec<Offered>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries.map(|entry| Ok(entry?.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>()?;
    let packages = names.iter().filter_map(|name| name.to_str()?.parse().ok());
    let offered = newest(packages).into_iter().map(|package| {
        let sha256 = sha256_of(&folder.join(package.to_string()))?;
        Ok(Offered { package, sha256 })
    });
    offered.collect()
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(path)?, Context::new(&SHA256));
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(HEXLOWER.encode(digest.finish().as_ref())),
            read => digest.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::agent_package::Architecture;

    #[tokio::test]
    async fn only_packages_of_this_release_are_offered_each_with_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let package = AgentPackage {
            architecture: Architecture::Amd64,
            revision: 2,
        };
        fs::write(folder.path().join(package.to_string()), "abc").unwrap();
        fs::write(folder.path().join("vpnmanager-endnode_0.0.0-1_amd64.deb"), "old").unwrap();
        fs::write(folder.path().join("notes"), "other").unwrap();

        let offered = offer(folder.path()).await.unwrap();

        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(offered, [Offered { package, sha256 }]);
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(offer(&folder.path().join("absent")).await.unwrap(), []);
    }
}
