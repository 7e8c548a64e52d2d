//! Reads a backup wholly, and changes nothing.

use std::path::Path;

use super::{manifest::Contents, read_error::ReadError, seal::Key, unpack::unpack};

/// Reads a backup from its beginning to its end and compares it with its manifest. Every byte of it is as it was written when this returns. It
/// blocks.
pub fn verify(path: &Path, key: &Key) -> Result<Contents, ReadError> {
    unpack(path, key, |_entry| Ok(()))
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
