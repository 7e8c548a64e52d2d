//! Reads the trail from files: exports, archives, and what `row_to_json` of PostgreSQL gives of a dump.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::domain::audit_chain::Trail;

/// How a gzip file begins (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading {} failed", .path.display())]
pub struct ReadFileError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Takes all lines of a file of JSON lines, which may be packed with gzip.
pub fn read_file(path: &Path, trail: &mut Trail) -> Result<(), ReadFileError> {
    read(path, trail).map_err(|source| ReadFileError {
        path: path.to_owned(),
        source,
    })
}

fn read(path: &Path, trail: &mut Trail) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&GZIP) {
        take_lines(BufReader::new(MultiGzDecoder::new(file)), path, trail)
    } else {
        take_lines(file, path, trail)
    }
}

fn take_lines(mut lines: impl BufRead, path: &Path, trail: &mut Trail) -> io::Result<()> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // What is no UTF-8 is no entry either.
        let text = String::from_utf8_lossy(line.trim_ascii());
        if !text.is_empty() {
            trail.take_line(&text, || format!("line {number} of {}", path.display()));
        }
    }
    Ok(())
}
