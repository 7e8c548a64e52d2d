//! What of a source is what.

use std::path::{Path, PathBuf};

use crate::{
    error::ReadError,
    folder::{Folder, Listing},
    lists::is_database,
    pki::PkiFolder,
};

/// What a `server.conf` that systemd starts is called.
const CONF: &str = "server.conf";
const CONFS: [&str; 2] = ["conf", "ovpn"];
const DATABASES: [&str; 4] = ["db", "sqlite", "sqlite3", "s3db"];
const LISTS: [&str; 2] = ["csv", "tsv"];
/// States of an `index.txt`, each with a tab behind it.
const STATES: [&[u8]; 3] = [b"V\t", b"R\t", b"E\t"];

/// Files by their kinds.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    pub(crate) pkis: Vec<PkiFolder>,
    /// Configurations of servers and clients.
    pub(crate) confs: Vec<PathBuf>,
    pub(crate) databases: Vec<PathBuf>,
    pub(crate) lists: Vec<PathBuf>,
}

impl Layout {
    /// Of a folder: by names.
    pub(crate) fn of(listing: &Listing) -> Self {
        let mut layout = Self {
            pkis: PkiFolder::all(listing),
            ..Self::default()
        };
        for file in listing.folders.values().flatten() {
            let kind = if ends(file, &DATABASES) {
                &mut layout.databases
            } else if layout.pkis.iter().any(|pki| pki.has(file)) {
                continue;
            } else if ends(file, &CONFS[..1]) {
                &mut layout.confs
            } else if ends(file, &LISTS) {
                &mut layout.lists
            } else {
                continue;
            };
            kind.push(file.clone());
        }
        layout.confs.sort_by_key(|file| (!file.ends_with(CONF), file.clone()));
        layout
    }

    /// Of a single file: by its content, and its name.
    pub(crate) fn of_file(folder: &Folder, file: &Path) -> Result<Self, ReadError> {
        let bytes = folder.read(file)?;
        let mut layout = Self::default();
        if is_database(&bytes) || ends(file, &DATABASES) {
            layout.databases.push(file.to_owned());
        } else if ends(file, &LISTS) {
            layout.lists.push(file.to_owned());
        } else if STATES.iter().any(|state| bytes.starts_with(state)) {
            layout.pkis.push(PkiFolder::of_index(file));
        } else if ends(file, &CONFS) {
            layout.confs.push(file.to_owned());
        }
        Ok(layout)
    }
}

fn ends(file: &Path, endings: &[&str]) -> bool {
    let ending = file.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}
