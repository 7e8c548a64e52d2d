//! Reads the file of a backup from its beginning to its end.

use std::{
    cell::Cell,
    io::{self, Read},
    path::Path,
    rc::Rc,
};

use flate2::read::GzDecoder;

use super::{
    counter::Counter,
    manifest::{Contents, FORMAT, Format, HEADING, Heading, MANIFEST, Manifest},
    read_error::ReadError,
    seal::Key,
};

/// The most bytes of one entry: so much is in memory at once.
const LARGEST_ENTRY: u64 = 64 << 20;

/// One entry.
pub(super) struct Entry {
    /// Its name: words between slashes, none of them `.` or `..`.
    pub(super) name: String,
    /// The mode of the file.
    pub(super) mode: u32,
    /// What is in it.
    pub(super) bytes: Vec<u8>,
}

/// Reads the whole file, and has the entries between heading and manifest taken as they come. Every byte of it was checked, and all that its manifest
/// names was there, when this returns. What was taken before an error must be thrown away.
pub(super) fn unpack<E: From<ReadError>>(
    path: &Path,
    key: &Key,
    mut take: impl FnMut(Entry) -> Result<(), E>,
) -> Result<Contents, E> {
    let failed = Rc::new(Cell::new(false));
    let watched = Watched {
        inner: key.open(path)?,
        failed: Rc::clone(&failed),
    };
    // What cannot be decrypted is damage. What can, and is no archive, was made by somebody else.
    let unreadable = |source: io::Error| match failed.get() {
        true => ReadError::Damaged {
            path: path.to_owned(),
            source: Some(source),
        },
        false => ReadError::NotOurs { path: path.to_owned() },
    };
    let mut archive = tar::Archive::new(GzDecoder::new(watched));
    let mut counter = Counter::default();
    let (mut heading, mut manifest) = (None, None);
    for entry in archive.entries().map_err(unreadable)? {
        let Entry { name, mode, bytes } = read_entry(entry.map_err(unreadable)?, path, unreadable)?;
        if heading.is_none() {
            heading = Some(read_heading(&name, &bytes, path)?);
            continue;
        }
        if manifest.is_some() {
            return Err(ReadError::differs(path, format!("{name} comes after it")).into());
        }
        if name == MANIFEST {
            manifest = Some(parse(&bytes).map_err(|error| ReadError::differs(path, error))?);
            continue;
        }
        counter.count(&name, &bytes);
        take(Entry { name, mode, bytes })?;
    }
    // The codes over the last bytes are checked when they are read.
    let mut packed = archive.into_inner();
    io::copy(&mut packed, &mut io::sink()).map_err(unreadable)?;
    io::copy(&mut packed.into_inner(), &mut io::sink()).map_err(unreadable)?;
    let heading = heading.ok_or_else(|| ReadError::NotOurs { path: path.to_owned() })?;
    let manifest: Manifest = manifest.ok_or_else(|| ReadError::differs(path, "it has none"))?;
    compare(&manifest, counter, path)?;
    Ok(Contents { heading, manifest })
}

fn read_heading(name: &str, bytes: &[u8], path: &Path) -> Result<Heading, ReadError> {
    if name != HEADING {
        return Err(ReadError::NotOurs { path: path.to_owned() });
    }
    let Format { format } = parse(bytes).map_err(|_unclear| ReadError::NotOurs { path: path.to_owned() })?;
    if format > FORMAT {
        return Err(ReadError::NewerFormat {
            path: path.to_owned(),
            format,
            known: FORMAT,
        });
    }
    parse(bytes).map_err(|error| ReadError::differs(path, format!("its heading is not understood: {error}")))
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn read_entry(
    mut entry: tar::Entry<'_, impl Read>,
    path: &Path,
    unreadable: impl Fn(io::Error) -> ReadError,
) -> Result<Entry, ReadError> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if !is_plain(&name) {
        return Err(ReadError::differs(path, format!("{name:?} is no name of an entry")));
    }
    if !entry.header().entry_type().is_file() {
        return Err(ReadError::differs(path, format!("{name} is no file")));
    }
    if entry.size() > LARGEST_ENTRY {
        return Err(ReadError::differs(path, format!("{name} is larger than any entry")));
    }
    let mode = entry.header().mode().map_err(&unreadable)?;
    let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or_default());
    entry.read_to_end(&mut bytes).map_err(&unreadable)?;
    Ok(Entry { name, mode, bytes })
}

/// Whether a path that is made of the name stays in the folder that it is put in.
fn is_plain(name: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word != "." && word != ".." && !word.contains(['\0', '\\']);
    name.split('/').all(is_word)
}

fn compare(manifest: &Manifest, counter: Counter, path: &Path) -> Result<(), ReadError> {
    let found = counter.finish();
    for part in &manifest.parts {
        if !found.contains(part) {
            let what = format!("{} is missing or another one", part.name);
            return Err(ReadError::differs(path, what));
        }
    }
    match found.iter().find(|part| !manifest.parts.contains(part)) {
        Some(part) => Err(ReadError::differs(path, format!("{} is not in it", part.name))),
        None => Ok(()),
    }
}

/// Remembers that reading failed: the errors of tar and gzip do not tell whose they are.
struct Watched<R> {
    inner: R,
    failed: Rc<Cell<bool>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|_error| self.failed.set(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for good in ["pki/ca.pem", "bus/a/b.nk", "manifest.json"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "pki/../../x", "pki//x", "./pki", "pki/", "a\\b"] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
