//! A certificate, its chain and its key.

use std::sync::Arc;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// A certificate with its chain and its key, which belong together and are valid at this moment. Cheap to clone; shows no key.
#[derive(Debug, Clone)]
pub struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    root_fingerprint: Option<String>,
}

/// Why a certificate and a key are not served.
#[derive(Debug, Error)]
pub enum PairError {
    /// There is no certificate.
    #[error("the file of the certificate holds none in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// The text of a certificate is cut off or damaged.
    #[error("a certificate in the file is cut off or damaged")]
    CertificatePem(#[source] pem::Error),
    /// A certificate is none.
    #[error("a certificate in the file cannot be read")]
    Certificate,
    /// There is no key, or none that is not encrypted.
    #[error("the file of the key holds no private key in PEM (-----BEGIN PRIVATE KEY-----, not encrypted)")]
    Key(#[source] pem::Error),
    /// The key is of a kind that TLS does not know.
    #[error("the key cannot be used")]
    KeyKind(#[source] rustls::Error),
    /// They do not belong together.
    #[error("the key is not the one of the certificate, which is the first in its file")]
    Mismatch,
    /// It is over.
    #[error("the certificate has expired at {0}")]
    Expired(DateTime<Utc>),
    /// It is not yet valid.
    #[error("the certificate is valid from {0} on only")]
    Early(DateTime<Utc>),
}

impl Pair {
    /// Reads a certificate, those that lead from it to its CA, and its key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let certificates = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(PairError::CertificatePem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(PairError::Key)?;
        let (not_before, not_after) = validity(certificates.first().ok_or(PairError::NoCertificate)?)?;
        let root_fingerprint = root_fingerprint(&certificates)?;
        let certified = CertifiedKey::from_der(certificates, key, &default_provider());
        let certified = certified.map_err(|error| {
            let is_mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
            if is_mismatch {
                PairError::Mismatch
            } else {
                PairError::KeyKind(error)
            }
        })?;
        let now = Utc::now();
        if now >= not_after {
            return Err(PairError::Expired(not_after));
        }
        if now < not_before {
            return Err(PairError::Early(not_before));
        }
        Ok(Self {
            certified: Arc::new(certified),
            not_before,
            not_after,
            root_fingerprint,
        })
    }

    /// From when on it is valid.
    #[must_use]
    pub fn not_before(&self) -> DateTime<Utc> {
        self.not_before
    }

    /// The end of its validity.
    #[must_use]
    pub fn not_after(&self) -> DateTime<Utc> {
        self.not_after
    }

    /// SHA-256 of the CA at the end of the chain, in lower-case hex, where it is there and is not the certificate itself: a chain of public CAs
    /// ends before it.
    #[must_use]
    pub fn root_fingerprint(&self) -> Option<&str> {
        self.root_fingerprint.as_deref()
    }
}

fn validity(certificate: &CertificateDer<'_>) -> Result<(DateTime<Utc>, DateTime<Utc>), PairError> {
    let parsed = parse(certificate)?;
    let at = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(PairError::Certificate);
    let validity = parsed.validity();
    Ok((
        at(validity.not_before.timestamp())?,
        at(validity.not_after.timestamp())?,
    ))
}

/// Of a CA that signed itself, at the end of a chain in which each certificate names the next one as its issuer. A certificate that is alone has
/// none, also one that signed itself, as `openssl req -x509` makes it: callers take no CA for a server.
fn root_fingerprint(chain: &[CertificateDer<'_>]) -> Result<Option<String>, PairError> {
    let parsed = chain.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let ([_, .., root], Some(last)) = (parsed.as_slice(), chain.last()) else {
        return Ok(None);
    };
    let mut steps = parsed.iter().zip(parsed.iter().skip(1));
    let is_linked = steps.all(|(signed, signer)| signed.issuer().as_raw() == signer.subject().as_raw());
    let is_root = is_linked && root.is_ca() && root.subject().as_raw() == root.issuer().as_raw();
    Ok(is_root.then(|| HEXLOWER.encode(digest::digest(&digest::SHA256, last).as_ref())))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PairError> {
    let parsed = X509Certificate::from_der(certificate);
    parsed
        .map(|(_rest, parsed)| parsed)
        .map_err(|_unclear| PairError::Certificate)
}

#[cfg(test)]
mod tests;
