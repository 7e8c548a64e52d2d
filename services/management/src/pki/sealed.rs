//! Secrets that the database keeps: encrypted with a key that follows from the CA's, which all replicas have and the database has not.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

/// Names the key among others that may follow from the same one (RFC 5869, section 3.2).
const KEY: &[u8] = b"vpnmanager: secrets in the database";
const KEY_BYTES: usize = 32;

pub(super) struct Sealer(RandomizedNonceKey);

impl Sealer {
    /// `ca_key`: the private key of the CA, PKCS #8.
    pub(super) fn of(ca_key: &[u8]) -> Self {
        let mut key = [0; KEY_BYTES];
        let extracted = Salt::new(HKDF_SHA256, &[]).extract(ca_key);
        let expanded = extracted.expand(&[KEY], HKDF_SHA256);
        let filled = expanded.and_then(|expanded| expanded.fill(&mut key));
        filled.expect("the output of SHA-256 has as many bytes as the key");
        Self(RandomizedNonceKey::new(&AES_256_GCM, &key).expect("the key has the length that AES-256 needs"))
    }

    /// A random nonce, and what is encrypted with it.
    pub(super) fn seal(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        let mut encrypted = secret.to_vec();
        let sealed = self.0.seal_in_place_append_tag(Aad::from(purpose), &mut encrypted);
        let nonce = sealed.expect("a secret is short, and the operating system provides randomness");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut encrypted);
        sealed
    }

    pub(super) fn unseal(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, encrypted) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut encrypted = encrypted.to_vec();
        let secret = self.0.open_in_place(nonce, Aad::from(purpose), &mut encrypted);
        secret.ok().map(|secret| secret.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_purpose_read_a_secret_again() {
        let sealer = Sealer::of(b"a key");
        let sealed = sealer.seal("webhook", b"secret");
        assert_eq!(sealer.unseal("webhook", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(sealer.unseal("another", &sealed), None);
        assert_eq!(Sealer::of(b"another key").unseal("webhook", &sealed), None);
        assert_eq!(sealer.unseal("webhook", &sealed[..7]), None);
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_ne!(sealer.seal("webhook", b"secret"), sealed, "each has a nonce of its own");
    }
}
