//! Answers as they are stored: whoever reads the store reads none of them. Some hold secrets that are stored nowhere else but as a hash.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};

/// Tells these keys from others of the same secrets.
const PURPOSE: &[u8] = b"vpnmanager: answers to requests with an Idempotency-Key";

const KEY_LENGTH: usize = 32;

/// Seals and opens one answer. Its key comes of the caller's API key and the `Idempotency-Key` (HKDF, RFC 5869). The store has neither of them.
pub(crate) struct Seal {
    key: RandomizedNonceKey,
}

impl Seal {
    /// # Panics
    /// Never: the lengths are those of the algorithms.
    pub(crate) fn new(api_key: &str, idempotency_key: &str) -> Self {
        let extracted = Salt::new(HKDF_SHA256, PURPOSE).extract(api_key.as_bytes());
        let info = [idempotency_key.as_bytes()];
        let mut key = [0; KEY_LENGTH];
        let expanded = extracted.expand(&info, &AES_256_GCM).and_then(|okm| okm.fill(&mut key));
        expanded.expect("HKDF gives 32 bytes");
        Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, &key).expect("a key of AES-256 has 32 bytes"),
        }
    }

    /// The nonce and the encrypted answer, which is bound to its request.
    pub(crate) fn seal(&self, mut answer: Vec<u8>, fingerprint: &[u8; 32]) -> Result<Vec<u8>, Unspecified> {
        let nonce = self.key.seal_in_place_append_tag(Aad::from(fingerprint), &mut answer)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut answer);
        Ok(sealed)
    }

    /// The answer; `None`: it was sealed with another API key, or is none.
    pub(crate) fn open(&self, sealed: &[u8], fingerprint: &[u8; 32]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut answer = rest.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::from(fingerprint), &mut answer)
            .ok()?
            .len();
        answer.truncate(length);
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_two_keys_and_the_same_request_open_an_answer() {
        let sealed = Seal::new("api", "k")
            .seal(b"vpnjoin-secret".to_vec(), &[1; 32])
            .unwrap();
        let open = |api: &str, key: &str, request| Seal::new(api, key).open(&sealed, &[request; 32]);
        assert_eq!(open("api", "k", 1).as_deref(), Some(&b"vpnjoin-secret"[..]));
        assert_eq!(
            [open("other", "k", 1), open("api", "other", 1), open("api", "k", 2)],
            [None, None, None]
        );
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        for length in [0, 5, 12, 20, sealed.len() - 1] {
            assert_eq!(
                Seal::new("api", "k").open(&sealed[..length], &[1; 32]),
                None,
                "{length}"
            );
        }
    }

    #[test]
    fn no_two_seals_are_alike() {
        let seal = Seal::new("api", "k");
        let sealed = || seal.seal(b"answer".to_vec(), &[1; 32]).unwrap();
        assert_ne!(sealed(), sealed());
    }
}
