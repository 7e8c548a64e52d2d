//! The name of a certificate that nobody can give to another one.

use std::fmt::{self, Display};
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER_PERMISSIVE;
use rustls::pki_types::CertificateDer;
use thiserror::Error;

/// The SHA-256 of a certificate (DER), written as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a fingerprint has 64 hex digits")]
pub struct NoFingerprint;

impl Fingerprint {
    /// Of this certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| NoFingerprint)?;
        bytes.try_into().map(Self).map_err(|_| NoFingerprint)
    }
}

impl Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_hex_digits() {
        let text = "ab".repeat(32);
        assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Fingerprint>().unwrap().to_string(), text);
        for other in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"zz".repeat(32)] {
            assert_eq!(other.parse::<Fingerprint>(), Err(NoFingerprint), "{other}");
        }
    }
}
