//! What a certificate says of itself.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use x509_parser::pem::parse_x509_pem;

use super::authority::{HTTPS_NAME, sha256};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

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

/// The first certificate of a PEM text as it stands there, without what else is in the file, such as a key.
pub(crate) fn first_certificate(text: &str) -> Option<&str> {
    let rest = text.get(text.find(BEGIN)?..)?;
    rest.get(..rest.find(END)? + END.len())
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

    /// Whether management made it for its own HTTPS.
    #[must_use]
    pub fn is_own_https(&self) -> bool {
        self.subject.strip_prefix("CN=") == Some(HTTPS_NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_certificate_is_found_without_the_key_beside_it() {
        let certificate = format!("{BEGIN}\nAAAA\n{END}");
        let key = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----";
        for text in [
            format!("{key}\n{certificate}\n{BEGIN}\nCCCC\n{END}\n"),
            format!("{certificate}\n{key}\n"),
        ] {
            assert_eq!(first_certificate(&text), Some(certificate.as_str()));
        }
        for none in ["", key, BEGIN, END] {
            assert_eq!(first_certificate(none), None, "{none}");
        }
    }
}
