//! Signing: one authority for all nodes, so that a profile works on each of them.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use rcgen::{Issuer, KeyPair, SigningKey as _};
use secrecy::SecretString;
use vpnmanager_nats::ids::{CommonName, NodeId};

use super::certificate::{self, Purpose, Validity};
use super::csr::{InvalidCsr, VerifiedCsr};
use super::folder::Material;
use super::open_error::OpenPkiError;

/// How long a certificate is valid when nothing else is configured. Access ends by the allow-list, not by the certificate.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Hex digits of the CA's fingerprint in the servers' names.
const FLEET_DIGITS: usize = 8;

/// The certificate authority of the fleet. Signing is CPU-bound (0.1 ms): call it on a blocking thread.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    fingerprint: String,
    server_name_prefix: String,
    not_after: DateTime<Utc>,
    tls_crypt_v2: SecretString,
    client_validity: Duration,
}

/// A certificate with what is recorded about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate, PEM.
    pub pem: String,
    /// Its serial number: 32 digits of lower-case hex.
    pub serial_hex: String,
    /// Start of validity, an hour back for clocks that lag.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// SHA-256 of the public key (its SubjectPublicKeyInfo, DER).
    pub public_key_sha256: Vec<u8>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The request is not one that is signed here. Asking again with the same one is of no use.
    #[error("the certificate request is invalid")]
    InvalidCsr(#[source] InvalidCsr),
    /// The certificate was not made.
    #[error("the certificate could not be signed")]
    Sign(#[source] rcgen::Error),
    /// The blocking thread that should have signed did not finish: the process is stopping.
    #[error("signing was interrupted")]
    Interrupted,
}

impl Pki {
    /// Opens the authority in `dir`, or makes one there. Processes that do so at once get the same one.
    pub fn load_or_create(dir: &Path) -> Result<Self, OpenPkiError> {
        let Material {
            ca_pem,
            ca_key,
            tls_crypt_v2,
        } = Material::load_or_create(dir)?;
        let authority = certificate::read_authority(dir, &ca_pem, ca_key)?;
        let fleet = authority.fingerprint.get(..FLEET_DIGITS).unwrap_or_default();
        Ok(Self {
            server_name_prefix: format!("vpn-{fleet}."),
            fingerprint: authority.fingerprint,
            not_after: authority.not_after,
            issuer: authority.issuer,
            ca_pem,
            tls_crypt_v2,
            client_validity: DEFAULT_VALIDITY,
        })
    }

    /// Sets how long client certificates are valid; never longer than the CA itself.
    #[must_use]
    pub fn with_client_validity(self, client_validity: Duration) -> Self {
        Self {
            client_validity,
            ..self
        }
    }

    /// The CA certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// SHA-256 of the CA certificate (DER), lower-case hex: the identity of the fleet.
    #[must_use]
    pub fn ca_fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The tls-crypt-v2 server key that all nodes share, PEM.
    #[must_use]
    pub fn tls_crypt_v2_pem(&self) -> &SecretString {
        &self.tls_crypt_v2
    }

    /// How the common names of all servers of this fleet begin, and of nobody else: what profiles check (`verify-x509-name`).
    #[must_use]
    pub fn server_name_prefix(&self) -> &str {
        &self.server_name_prefix
    }

    /// SHA-256 of the public key in a certificate request, as in [`Signed::public_key_sha256`].
    pub fn csr_public_key_sha256(&self, csr_pem: &str) -> Result<Vec<u8>, PkiError> {
        VerifiedCsr::parse(csr_pem)
            .map(|csr| sha256(csr.public_key_info()))
            .map_err(PkiError::InvalidCsr)
    }

    /// Signs a client certificate of this name. Nothing but the public key is taken from the request, whose own signature must be
    /// right and whose key must be ECDSA P-256.
    pub fn sign_client(&self, common_name: &CommonName, csr_pem: &str) -> Result<Signed, PkiError> {
        self.sign(common_name.as_str(), Purpose::Client, self.client_validity, csr_pem)
    }

    /// Signs the certificate of a node's OpenVPN server, by the same rules. Its name begins with [`Self::server_name_prefix`].
    pub fn sign_server(&self, node: &NodeId, csr_pem: &str) -> Result<Signed, PkiError> {
        self.sign(
            &self.server_common_name(node),
            Purpose::Server,
            DEFAULT_VALIDITY,
            csr_pem,
        )
    }

    /// Signs a statement of management's to a node, ECDSA P-256 with SHA-256 (ASN.1): whoever holds the CA certificate can verify it.
    /// The text is no DER, so that it cannot pass for a certificate.
    pub fn sign_statement(&self, text: &str) -> Result<Vec<u8>, PkiError> {
        self.issuer.key().sign(text.as_bytes()).map_err(PkiError::Sign)
    }

    fn sign(&self, common_name: &str, purpose: Purpose, duration: Duration, csr_pem: &str) -> Result<Signed, PkiError> {
        let csr = VerifiedCsr::parse(csr_pem).map_err(PkiError::InvalidCsr)?;
        let validity = Validity::from_now(duration, self.not_after);
        let serial = certificate::new_serial();
        let params = certificate::leaf(common_name, purpose, validity, serial);
        let signed = params
            .signed_by(csr.public_key(), &self.issuer)
            .map_err(PkiError::Sign)?;
        Ok(Signed {
            pem: signed.pem(),
            serial_hex: HEXLOWER.encode(&serial),
            not_before: validity.not_before,
            not_after: validity.not_after,
            public_key_sha256: sha256(csr.public_key_info()),
        })
    }

    /// A node's id may be longer than what is left of a common name; clients check the prefix only.
    fn server_common_name(&self, node: &NodeId) -> String {
        self.server_name_prefix
            .chars()
            .chain(node.as_str().chars())
            .take(CommonName::MAX_LENGTH)
            .collect()
    }
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
