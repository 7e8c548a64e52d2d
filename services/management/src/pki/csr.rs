//! Certificate requests (PKCS #10). Only two things are taken from them: the public key, and the proof that the sender holds its private key.

use rcgen::{CertificateSigningRequestParams, PKCS_ECDSA_P256_SHA256, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

/// In bytes; a P-256 request has about 400 bytes of PEM.
const LONGEST: usize = 8 * 1024;
/// The label of RFC 7468, and that of older OpenSSL, which some tools still write.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCsr {
    /// Not PEM, not a request, or too long.
    #[error("it is not a PKCS #10 request in PEM")]
    Malformed,
    /// The sender does not hold the private key, or the request was altered.
    #[error("its signature is wrong")]
    Signature,
    /// The key is of another kind.
    #[error("its key is not ECDSA P-256")]
    KeyType,
}

/// A request with a correct signature and a key of the accepted kind.
pub(super) struct VerifiedCsr {
    key: SubjectPublicKeyInfo,
    key_info: Vec<u8>,
}

impl VerifiedCsr {
    pub(super) fn parse(csr_pem: &str) -> Result<Self, InvalidCsr> {
        if csr_pem.len() > LONGEST {
            return Err(InvalidCsr::Malformed);
        }
        let (_, pem) = parse_x509_pem(csr_pem.as_bytes()).map_err(|_unclear| InvalidCsr::Malformed)?;
        if !LABELS.contains(&pem.label.as_str()) {
            return Err(InvalidCsr::Malformed);
        }
        let (rest, csr) =
            X509CertificationRequest::from_der(&pem.contents).map_err(|_unclear| InvalidCsr::Malformed)?;
        if !rest.is_empty() {
            return Err(InvalidCsr::Malformed);
        }
        let key_info = csr.certification_request_info.subject_pki.raw.to_vec();
        let key = SubjectPublicKeyInfo::from_der(&key_info).map_err(|_unsupported| InvalidCsr::KeyType)?;
        if !is_p256(&key) {
            return Err(InvalidCsr::KeyType);
        }
        // This parses the request again and verifies its signature.
        match CertificateSigningRequestParams::from_der(&pem.contents.into()) {
            Ok(_) => Ok(Self { key, key_info }),
            Err(rcgen::Error::InvalidCertificationRequestSignature) => Err(InvalidCsr::Signature),
            Err(_) => Err(InvalidCsr::Malformed),
        }
    }

    pub(super) fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }

    /// SubjectPublicKeyInfo, DER.
    pub(super) fn public_key_info(&self) -> &[u8] {
        &self.key_info
    }
}

fn is_p256(key: &SubjectPublicKeyInfo) -> bool {
    rcgen::PublicKeyData::algorithm(key) == &PKCS_ECDSA_P256_SHA256
}
