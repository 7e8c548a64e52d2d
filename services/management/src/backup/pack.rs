//! Writes the file of a backup, on a thread of its own.

use std::{
    io::{self, BufWriter},
    path::Path,
};

use age::stream::StreamWriter;
use flate2::{Compression, write::GzEncoder};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
};
use vpnmanager_secret_file::NewFile;

use super::{
    counter::Counter,
    manifest::{HEADING, MANIFEST, Manifest},
    seal::Seal,
};

/// Entries that wait to be written. Each has a few MiB at most.
const ROOM: usize = 2;
/// The mode of entries that are no files.
pub(super) const PRIVATE: u32 = 0o600;

/// What comes next in a backup.
enum Next {
    /// An entry.
    Entry {
        /// Its name.
        name: String,
        /// The mode of the file.
        mode: u32,
        /// What is in it.
        bytes: Vec<u8>,
    },
    /// Nothing: the backup is complete. Without it what was written is thrown away.
    End,
}

/// The end of the thread into which entries are put.
pub(super) struct Packing {
    entries: Sender<Next>,
    packed: JoinHandle<io::Result<Packed>>,
}

/// A complete file that has no name yet.
pub(super) struct Packed {
    pub(super) file: NewFile,
    pub(super) manifest: Manifest,
}

impl Packing {
    /// Begins to write `file`.
    pub(super) fn begin(file: NewFile, seal: Seal) -> Self {
        let (entries, waiting) = mpsc::channel(ROOM);
        Self {
            entries,
            packed: tokio::task::spawn_blocking(move || pack(file, &seal, waiting)),
        }
    }

    /// Adds an entry. Where writing has failed, [`Self::finish`] tells why.
    pub(super) async fn add(&self, name: impl Into<String>, mode: u32, bytes: Vec<u8>) {
        let entry = Next::Entry {
            name: name.into(),
            mode,
            bytes,
        };
        // Nobody takes it: the thread has ended with an error.
        let _failed = self.entries.send(entry).await;
    }

    /// Whether writing has failed: what is added is not written any more.
    pub(super) fn has_failed(&self) -> bool {
        self.entries.is_closed()
    }

    /// Writes the manifest and the end.
    pub(super) async fn finish(self) -> io::Result<Packed> {
        let _failed = self.entries.send(Next::End).await;
        drop(self.entries);
        self.packed.await.map_err(io::Error::other)?
    }
}

fn pack(file: NewFile, seal: &Seal, mut waiting: Receiver<Next>) -> io::Result<Packed> {
    let sealed = seal.wrap(BufWriter::new(file))?;
    let mut archive = tar::Builder::new(GzEncoder::new(sealed, Compression::default()));
    let mut counter = Counter::default();
    loop {
        match waiting.blocking_recv() {
            Some(Next::Entry { name, mode, bytes }) => {
                if name != HEADING {
                    counter.count(&name, &bytes);
                }
                append(&mut archive, &name, mode, &bytes)?;
            }
            Some(Next::End) => break,
            None => return Err(io::Error::from(io::ErrorKind::Interrupted)),
        }
    }
    let manifest = Manifest {
        parts: counter.finish(),
    };
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?;
    append(&mut archive, MANIFEST, PRIVATE, &text)?;
    let sealed: StreamWriter<BufWriter<NewFile>> = archive.into_inner()?.finish()?;
    let file = sealed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Packed { file, manifest })
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    archive.append_data(&mut header, Path::new(name), bytes)
}
