//! What management takes from a node for a profile: a certificate, a private key and a tls-crypt-v2 client key. Each is parsed, compared with
//! what management knows, and written anew. Nothing else of what the node sends reaches the profile.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use secrecy::SecretString;
use vpnmanager_nats::ids::CommonName;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{
    pem::{self, InvalidPem},
    tls_crypt_v2::{CLIENT_LABEL, TlsCryptV2Error, TlsCryptV2ServerKey, USER_METADATA},
};

/// The label of a certificate (RFC 7468, section 5).
pub const CERTIFICATE: &str = "CERTIFICATE";
/// The label of an unencrypted PKCS #8 key (RFC 7468, section 10).
pub const PRIVATE_KEY: &str = "PRIVATE KEY";

/// The most bytes of a certificate in PEM; ours have about 800.
pub const MAX_CERTIFICATE: usize = 4096;
/// The most bytes of a private key in PEM; a P-256 key has about 240.
pub const MAX_KEY: usize = 1024;
/// The most bytes of a tls-crypt-v2 client key in PEM: 256 bytes of key and at most 1,024 bytes of wrapped key (`TLS_CRYPT_V2_MAX_WKC_LEN`)
/// are 1,708 characters of base64 in 27 lines, and two lines with the label.
pub const MAX_TLS_CRYPT_V2: usize = 2048;

/// What a node sent.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    /// The certificate, PEM.
    pub certificate: &'a str,
    /// Its private key, PKCS #8, PEM.
    pub key: &'a str,
    /// The tls-crypt-v2 client key, PEM.
    pub tls_crypt_v2: &'a str,
}

/// What management knows of the credential.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The credential.
    pub common_name: &'a CommonName,
    /// The certificate that was signed for it, PEM.
    pub certificate: &'a str,
    /// The key under which client keys of the fleet are wrapped.
    pub server_key: &'a TlsCryptV2ServerKey,
}

/// The parts, written anew. `Debug` shows none of them.
pub struct Parts {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS #8, PEM.
    pub key: SecretString,
    /// The tls-crypt-v2 client key, PEM.
    pub tls_crypt_v2: SecretString,
}

/// Why what a node sent is not taken. No variant holds anything of it.
#[derive(Debug, thiserror::Error)]
pub enum UnfitPart {
    /// Far longer than it can be.
    #[error("the {part} is longer than {most} bytes")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// How long it may be.
        most: usize,
    },
    /// Not exactly one PEM block of the right kind.
    #[error("the {part} is not exactly one PEM block of its kind")]
    Pem {
        /// Which part.
        part: &'static str,
        /// Why.
        #[source]
        source: InvalidPem,
    },
    /// Not the certificate that was signed for this credential.
    #[error("the certificate is not the one that was signed for this credential")]
    OtherCertificate,
    /// Not a key that a certificate of ours can be for.
    #[error("the private key is not an ECDSA P-256 key in PKCS #8")]
    Key,
    /// The key of something else.
    #[error("the private key does not belong to the certificate")]
    OtherKey,
    /// Not a client key of this fleet.
    #[error("the tls-crypt-v2 key is not a client key of this fleet")]
    TlsCryptV2(#[source] TlsCryptV2Error),
    /// A client key that was made for another credential.
    #[error("the tls-crypt-v2 key was made for another credential")]
    OtherTlsCryptV2,
    /// What management itself holds cannot be used.
    #[error("the certificate that was signed for this credential cannot be read")]
    KnownCertificate,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts([REDACTED])")
    }
}

/// Checks what a node sent against what is known, and writes it anew.
///
/// # Errors
/// For the first part that does not fit.
pub fn check(sent: &Sent<'_>, known: &Known<'_>) -> Result<Parts, UnfitPart> {
    let signed = known_certificate(known.certificate)?;
    let certificate = block("certificate", sent.certificate, CERTIFICATE, MAX_CERTIFICATE)?;
    if certificate != signed {
        return Err(UnfitPart::OtherCertificate);
    }
    let key = key_of(
        &block("private key", sent.key, PRIVATE_KEY, MAX_KEY)?,
        &public_key(&signed)?,
    )?;

    block("tls-crypt-v2 key", sent.tls_crypt_v2, CLIENT_LABEL, MAX_TLS_CRYPT_V2)?;
    let checked = known.server_key.check_client_key(sent.tls_crypt_v2);
    let metadata = checked.map_err(UnfitPart::TlsCryptV2)?;
    if metadata != [&[USER_METADATA], known.common_name.as_str().as_bytes()].concat() {
        return Err(UnfitPart::OtherTlsCryptV2);
    }
    Ok(Parts {
        certificate: pem::render(CERTIFICATE, &signed),
        key,
        // `block` took it for exactly what `pem::render` writes.
        tls_crypt_v2: sent.tls_crypt_v2.into(),
    })
}

/// The one block of a part, which must be written as [`pem::render`] writes it.
fn block(part: &'static str, text: &str, label: &str, most: usize) -> Result<Vec<u8>, UnfitPart> {
    if text.len() > most {
        return Err(UnfitPart::TooLong { part, most });
    }
    pem::parse_exactly(text, label).map_err(|source| UnfitPart::Pem { part, source })
}

fn known_certificate(text: &str) -> Result<Vec<u8>, UnfitPart> {
    let blocks = pem::parse(text, &[CERTIFICATE]).map_err(|_unclear| UnfitPart::KnownCertificate)?;
    let (_, bytes) = blocks.into_iter().next().ok_or(UnfitPart::KnownCertificate)?;
    Ok(bytes)
}

/// The point of a certificate's public key, uncompressed (SEC 1, section 2.3.3).
fn public_key(certificate: &[u8]) -> Result<Vec<u8>, UnfitPart> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_unclear| UnfitPart::KnownCertificate)?;
    Ok(certificate.public_key().subject_public_key.data.to_vec())
}

/// Reads the key and writes it anew. A document that holds anything else is refused.
fn key_of(document: &[u8], public_key: &[u8]) -> Result<SecretString, UnfitPart> {
    let read = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document);
    let key = read.map_err(|_rejected| UnfitPart::Key)?;
    if key.public_key().as_ref() != public_key {
        return Err(UnfitPart::OtherKey);
    }
    let written = key.to_pkcs8v1().map_err(|_unspecified| UnfitPart::Key)?;
    if written.as_ref() != document {
        return Err(UnfitPart::Key);
    }
    Ok(pem::render(PRIVATE_KEY, written.as_ref()).into())
}

#[cfg(test)]
#[path = "parts_tests.rs"]
mod tests;
