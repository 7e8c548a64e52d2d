//! Hashes, and how they are written.

use aws_lc_rs::digest::{self, SHA256};
use data_encoding::HEXLOWER_PERMISSIVE;

/// The bytes of a hash.
pub(super) const LENGTH: usize = 32;
/// What the first entry of a chain has as the hash of the one before it.
pub(super) const NONE: Digest = [0; LENGTH];

/// A SHA-256.
pub(super) type Digest = [u8; LENGTH];

/// The SHA-256 of these parts, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = NONE;
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Reads a hash in hexadecimal; PostgreSQL writes `\x` before it.
pub(super) fn parse(text: &str) -> Option<Digest> {
    let digits = text.strip_prefix("\\x").unwrap_or(text);
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok()
}

/// What tells hashes apart in memory, where there may be millions: half of one is as hard to hit by trying.
pub(super) type Brief = [u8; LENGTH / 2];

/// The first half.
pub(super) fn brief(hash: &Digest) -> Brief {
    let mut brief = Brief::default();
    brief.copy_from_slice(hash.split_at(LENGTH / 2).0);
    brief
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_postgresql_and_as_people_write_it() {
        let hash = sha256(&[b"a", b"bc"]);
        let text = data_encoding::HEXLOWER.encode(&hash);
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        for written in [text.clone(), format!("\\x{text}"), text.to_uppercase()] {
            assert_eq!(parse(&written), Some(hash), "{written}");
        }
        for wrong in ["", "\\x", "00", "zz"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
