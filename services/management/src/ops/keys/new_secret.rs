//! Draws the secret of an API key.

use aws_lc_rs::rand;
use secrecy::SecretString;
use vpnmanager_openapi::auth::hash_key;

use crate::domain::key_text::{RANDOM_BYTES, key_of, shown};

/// A key, and what is stored of it.
#[derive(Debug)]
pub(super) struct NewSecret {
    /// The key. It is returned once.
    pub(super) key: SecretString,
    /// Its SHA-256.
    pub(super) hash: Vec<u8>,
    /// The part of it that lists show.
    pub(super) prefix: String,
}

impl NewSecret {
    /// A key that nobody has.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub(super) fn draw() -> Self {
        let mut random = [0_u8; RANDOM_BYTES];
        rand::fill(&mut random).expect("the operating system provides randomness");
        let key = key_of(&random);
        Self {
            hash: hash_key(&key).to_vec(),
            prefix: shown(&key),
            key: key.into(),
        }
    }
}
