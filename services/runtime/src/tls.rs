//! One TLS provider in the whole process: aws-lc-rs. And what it thinks of a file of certificates, before a connection needs it.

mod fingerprint;
mod pinned;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use thiserror::Error;

pub use fingerprint::{Fingerprint, NoFingerprint};
pub use pinned::PinnedAuthority;

/// A file of CAs that cannot be used.
#[derive(Debug, Error)]
pub enum AuthoritiesError {
    /// The text of a certificate in it is cut off or damaged.
    #[error("a certificate in it is cut off or damaged")]
    Pem,
    /// A certificate in it is none.
    #[error("a certificate in it cannot be used")]
    Certificate(#[source] rustls::Error),
    /// There is none in it.
    #[error("it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    Empty,
}

/// Whether a library that uses rustls can take the certificates of a PEM file for CAs: all of them, and there is one. What else is in the
/// file does not matter.
///
/// # Errors
/// What is wrong with the file.
pub fn check_authorities(pem: &[u8]) -> Result<(), AuthoritiesError> {
    authorities(pem).map(drop)
}

/// The CAs of a PEM file, as [`check_authorities`] takes them.
///
/// # Errors
/// What is wrong with the file.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, AuthoritiesError> {
    let mut roots = RootCertStore::empty();
    for found in CertificateDer::pem_slice_iter(pem) {
        let certificate = found.map_err(|_damaged| AuthoritiesError::Pem)?;
        roots.add(certificate).map_err(AuthoritiesError::Certificate)?;
    }
    if roots.is_empty() {
        return Err(AuthoritiesError::Empty);
    }
    Ok(roots)
}

/// Makes aws-lc-rs the provider of every rustls user in this process. Call it first in `main`; calling it again is harmless.
pub fn install_crypto_provider() {
    // The error only says that a provider is already installed, and there is only one in the tree.
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_of_certificates_is_told() {
        let wrong = |pem: &str| check_authorities(pem.as_bytes()).unwrap_err();
        assert!(matches!(wrong(""), AuthoritiesError::Empty));
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(wrong(key), AuthoritiesError::Empty));
        let cut_off = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(matches!(wrong(cut_off), AuthoritiesError::Pem));
        let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(wrong(none), AuthoritiesError::Certificate(_)));
    }
}
