//! The file of an archived month.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use vpnmanager_secret_file::{NewFile, SecretFileError};

/// Why an archive was not written, or is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file could not be written.
    #[error("writing the archive failed")]
    Secret(#[from] SecretFileError),
    /// A piece of the file could not be written: is the disk full?
    #[error("writing the archive failed")]
    Write(#[source] io::Error),
    /// The file could not be read back.
    #[error("reading {} back failed", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a file of lines holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) lines: u64,
    pub(super) content_sha256: String,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

/// Hashes what passes through it.
struct Hashing<T> {
    inner: T,
    digest: Context,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            digest: Context::new(&SHA256),
            bytes: 0,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

fn hex(digest: Context) -> String {
    HEXLOWER.encode(digest.finish().as_ref())
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.note(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.note(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// A file that is being written.
pub(super) struct Writing {
    packed: GzEncoder<Hashing<NewFile>>,
    content: Context,
    lines: u64,
}

/// A file that is whole and has no name yet.
pub(super) struct Written {
    file: NewFile,
    pub(super) contents: Contents,
}

impl Writing {
    /// Begins a hidden file in `folder`.
    pub(super) fn begin(folder: &Path, name: &str) -> Result<Self, FileError> {
        let file = NewFile::begin(&folder.join(name))?;
        Ok(Self {
            packed: GzEncoder::new(Hashing::new(file), Compression::default()),
            content: Context::new(&SHA256),
            lines: 0,
        })
    }

    /// Adds a line, which must hold no newline.
    pub(super) fn line(&mut self, line: &str) -> Result<(), FileError> {
        for piece in [line.as_bytes(), b"\n"] {
            self.content.update(piece);
            self.packed.write_all(piece).map_err(FileError::Write)?;
        }
        self.lines += 1;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Written, FileError> {
        let Hashing { inner, digest, bytes } = self.packed.finish().map_err(FileError::Write)?;
        let contents = Contents {
            lines: self.lines,
            content_sha256: hex(self.content),
            sha256: hex(digest),
            bytes,
        };
        Ok(Written { file: inner, contents })
    }
}

impl Written {
    /// Gives the file the first name of `archive.jsonl.gz`, `archive-2.jsonl.gz`, .. that is free, and returns that. A file of such a name
    /// with the same entries, which an interrupted run left there, is taken as it is.
    pub(super) fn keep(self, folder: &Path, archive: &str) -> Result<(PathBuf, Contents), FileError> {
        for number in 1_u32.. {
            let suffix = if number == 1 {
                String::new()
            } else {
                format!("-{number}")
            };
            let path = folder.join(format!("{archive}{suffix}.jsonl.gz"));
            if !path.exists() {
                self.file.keep(&path)?;
                return Ok((path, self.contents));
            }
            // One that cannot be read is not this archive; it stays.
            if let Ok(found) = read_back(&path)
                && found.content_sha256 == self.contents.content_sha256
            {
                return Ok((path, found));
            }
        }
        Err(FileError::Write(io::Error::from(io::ErrorKind::AlreadyExists)))
    }
}

/// Reads a file from beginning to end.
pub(super) fn read_back(path: &Path) -> Result<Contents, FileError> {
    let read = || {
        let mut packed = BufReader::new(Hashing::new(File::open(path)?));
        let mut unpacked = BufReader::new(GzDecoder::new(&mut packed));
        let (mut content, mut lines) = (Context::new(&SHA256), 0);
        let mut line = Vec::new();
        while unpacked.read_until(b'\n', &mut line)? > 0 {
            content.update(&line);
            lines += 1;
            line.clear();
        }
        drop(unpacked);
        // What follows the packed part belongs to the file, too.
        io::copy(&mut packed, &mut io::sink())?;
        let Hashing { digest, bytes, .. } = packed.into_inner();
        Ok(Contents {
            lines,
            content_sha256: hex(content),
            sha256: hex(digest),
            bytes,
        })
    };
    read().map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(folder: &Path, lines: &[&str]) -> Written {
        let mut writing = Writing::begin(folder, "archive").unwrap();
        for line in lines {
            writing.line(line).unwrap();
        }
        writing.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for lines in [&["{\"a\": 1}", "{\"b\": 2}"][..], &[]] {
            let (path, contents) = written(folder.path(), lines).keep(folder.path(), "archive").unwrap();
            assert_eq!(contents.lines, lines.len() as u64);
            assert_eq!(read_back(&path).unwrap(), contents);
        }
    }

    #[test]
    fn a_file_with_other_entries_stays_and_one_with_the_same_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (first, _) = written(folder.path(), &["one"]).keep(folder.path(), "archive").unwrap();
        let (second, _) = written(folder.path(), &["two"]).keep(folder.path(), "archive").unwrap();
        let (again, _) = written(folder.path(), &["two"]).keep(folder.path(), "archive").unwrap();
        let (other, _) = written(folder.path(), &["three"])
            .keep(folder.path(), "archive")
            .unwrap();

        assert_eq!(second, folder.path().join("archive-2.jsonl.gz"));
        assert_eq!(again, second);
        assert_eq!(other, folder.path().join("archive-3.jsonl.gz"));
        assert_eq!(read_back(&first).unwrap().lines, 1);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "nothing half-written stays"
        );
    }

    #[test]
    fn a_damaged_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (path, contents) = written(folder.path(), &["one", "two"])
            .keep(folder.path(), "archive")
            .unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        read_back(&path).unwrap_err();
        fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
        assert!(read_back(&path).is_err() || read_back(&path).unwrap() != contents);
    }
}
