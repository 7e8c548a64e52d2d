//! Reads a backup wholly, and changes nothing.

use std::path::Path;

use super::{
    manifest::{Heading, Manifest},
    read_error::ReadError,
    seal::Key,
    unpack::{Entry, Take, unpack},
};

/// What is in a sound backup.
#[derive(Debug)]
pub struct Contents {
    /// From what it was made.
    pub heading: Heading,
    /// All that is in it.
    pub manifest: Manifest,
}

/// Reads a backup from its beginning to its end and compares it with its manifest. Every byte of it is as it was written when this returns. It
/// blocks.
pub fn verify(path: &Path, key: &Key) -> Result<Contents, ReadError> {
    let (heading, manifest) = unpack(path, key, &mut Nothing)?;
    Ok(Contents { heading, manifest })
}

struct Nothing;

impl Take for Nothing {
    type Error = ReadError;

    fn heading(&mut self, _heading: &Heading) -> Result<(), ReadError> {
        Ok(())
    }

    fn entry(&mut self, _entry: Entry) -> Result<(), ReadError> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
