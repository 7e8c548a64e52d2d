//! Whose signatures count.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::pem::Pem;

/// The public keys of the certificate authorities that may have signed.
#[derive(Debug, Clone, Default)]
pub struct Signers {
    keys: Vec<Vec<u8>>,
}

/// The text holds no certificate that can be read.
#[derive(Debug, thiserror::Error)]
#[error("there is no certificate in it")]
pub struct NoSigner;

impl Signers {
    /// Those of all certificates in a PEM text: after a change of the authority there are several.
    pub fn of_pem(text: &str) -> Result<Self, NoSigner> {
        let mut keys = Vec::new();
        for pem in Pem::iter_from_buffer(text.as_bytes()) {
            // What follows the last certificate may be anything.
            let Ok(pem) = pem else { break };
            let certificate = pem.parse_x509().map_err(|_unclear| NoSigner)?;
            keys.push(certificate.public_key().subject_public_key.data.to_vec());
        }
        if keys.is_empty() {
            return Err(NoSigner);
        }
        Ok(Self { keys })
    }

    /// Whether one of them signed the text.
    pub(super) fn have_signed(&self, text: &str, signature: &[u8]) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|key| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
                .verify(text.as_bytes(), signature)
                .is_ok()
        })
    }
}
