//! Reads the file of a backup from its beginning to its end.

use std::{
    cell::Cell,
    fmt::Display,
    io::{self, Read},
    path::Path,
    rc::Rc,
};

use flate2::read::GzDecoder;

use super::{
    counter::Counter,
    manifest::{FORMAT, Format, HEADING, Heading, MANIFEST, Manifest},
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

/// What takes the entries as they are read.
pub(super) trait Take {
    /// Why one is not taken.
    type Error: From<ReadError>;

    /// Before all entries.
    fn heading(&mut self, heading: &Heading) -> Result<(), Self::Error>;

    /// The next one.
    fn entry(&mut self, entry: Entry) -> Result<(), Self::Error>;
}

/// Reads the whole file. Every byte of it was checked, and all that its manifest names was there, when this returns. What was taken before an error
/// must be thrown away.
pub(super) fn unpack<T: Take>(path: &Path, key: &Key, take: &mut T) -> Result<(Heading, Manifest), T::Error> {
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
        let Entry { name, mode, bytes } =
            read_entry(entry.map_err(unreadable)?, path).map_err(|error| match error {
                Unfit::Read(source) => unreadable(source),
                Unfit::Entry(error) => error,
            })?;
        if heading.is_none() {
            let found = read_heading(&name, &bytes, path)?;
            take.heading(&found)?;
            heading = Some(found);
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
        take.entry(Entry { name, mode, bytes })?;
    }
    // The codes over the last bytes are checked when they are read.
    let mut packed = archive.into_inner();
    io::copy(&mut packed, &mut io::sink()).map_err(unreadable)?;
    io::copy(&mut packed.into_inner(), &mut io::sink()).map_err(unreadable)?;
    let heading = heading.ok_or_else(|| ReadError::NotOurs { path: path.to_owned() })?;
    let manifest: Manifest = manifest.ok_or_else(|| ReadError::differs(path, "it has none"))?;
    compare(&manifest, counter, path)?;
    Ok((heading, manifest))
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

enum Unfit {
    Read(io::Error),
    Entry(ReadError),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

fn read_entry(mut entry: tar::Entry<'_, impl Read>, path: &Path) -> Result<Entry, Unfit> {
    let refuse = |name: &dyn Display, why: &str| Unfit::Entry(ReadError::differs(path, format!("{name} {why}")));
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if !is_plain(&name) {
        return Err(refuse(&format!("{name:?}"), "is no name of an entry"));
    }
    if !entry.header().entry_type().is_file() {
        return Err(refuse(&name, "is no file"));
    }
    if entry.size() > LARGEST_ENTRY {
        return Err(refuse(&name, "is larger than any entry"));
    }
    let mode = entry.header().mode()?;
    let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or_default());
    entry.read_to_end(&mut bytes)?;
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
