//! What a certificate says of itself.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use x509_parser::pem::parse_x509_pem;

use super::authority::sha256;

/// What the first certificate of a PEM text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whose it is, such as `CN=alice.k3nq6zt5m7wd2xya`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its serial number, lower-case hex.
    pub serial_hex: String,
    /// SHA-256 of the certificate (DER), lower-case hex.
    pub fingerprint: String,
    /// SHA-256 of its public key (its SubjectPublicKeyInfo, DER).
    pub public_key_sha256: Vec<u8>,
    /// When it becomes valid.
    pub not_before: DateTime<Utc>,
    /// When it ends.
    pub not_after: DateTime<Utc>,
}

impl CertificateFacts {
    /// `None` where the text holds no certificate.
    #[must_use]
    pub fn of_pem(text: &str) -> Option<Self> {
        let (_, pem) = parse_x509_pem(text.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        let validity = certificate.validity();
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            serial_hex: HEXLOWER.encode(certificate.raw_serial()),
            fingerprint: HEXLOWER.encode(&sha256(&pem.contents)),
            public_key_sha256: sha256(certificate.public_key().raw),
            not_before: DateTime::from_timestamp(validity.not_before.timestamp(), 0)?,
            not_after: DateTime::from_timestamp(validity.not_after.timestamp(), 0)?,
        })
    }
}
