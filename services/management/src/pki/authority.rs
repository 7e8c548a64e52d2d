//! Signs certificates. All nodes share one authority, so that a profile works on each of them.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use rcgen::{Issuer, KeyPair, SigningKey as _};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_nats::ids::{CommonName, NodeId};
use vpnmanager_profile::tls_crypt_v2::TlsCryptV2ServerKey;

use super::certificate::{self, Purpose, Validity};
use super::csr::{InvalidCsr, VerifiedCsr};
use super::folder::Material;
use super::open_error::OpenPkiError;

/// The default validity of certificates. It is long because the allow-list ends access, not the certificate.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How many hex digits of the CA's fingerprint the names of servers contain.
const FLEET_DIGITS: usize = 8;

/// The certificate authority of the fleet. Signing is CPU-bound (0.1 ms): call it on a blocking thread.
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    fingerprint: String,
    server_name_prefix: String,
    not_after: DateTime<Utc>,
    tls_crypt_v2: SecretString,
    tls_crypt_v2_key: TlsCryptV2ServerKey,
    client_validity: Duration,
}

/// A signed certificate and its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The certificate, PEM.
    pub pem: String,
    /// Its serial number: 32 digits of lower-case hex.
    pub serial_hex: String,
    /// Start of validity, a day in the past because clocks may lag.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// SHA-256 of the public key (its SubjectPublicKeyInfo, DER).
    pub public_key_sha256: Vec<u8>,
}

/// Why a certificate was not signed.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The request is invalid; repeating it does not help.
    #[error("the certificate request is invalid")]
    InvalidCsr(#[source] InvalidCsr),
    /// The certificate could not be made.
    #[error("the certificate could not be signed")]
    Sign(#[source] rcgen::Error),
    /// The signing thread did not finish because the process is stopping.
    #[error("signing was interrupted")]
    Interrupted,
}

impl Pki {
    /// Opens the authority in `dir`, or makes one there if the folder holds none. Processes that do so at the same time get the same authority.
    pub fn load_or_create(dir: &Path) -> Result<Self, OpenPkiError> {
        let Material {
            ca_pem,
            ca_key,
            tls_crypt_v2,
        } = Material::load_or_create(dir)?;
        let authority = certificate::read_authority(dir, &ca_pem, ca_key)?;
        let server_key = TlsCryptV2ServerKey::from_pem(tls_crypt_v2.expose_secret());
        let tls_crypt_v2_key = server_key.map_err(|_unclear| OpenPkiError::Unusable {
            dir: dir.to_owned(),
            reason: "tls-crypt-v2.key is not a tls-crypt-v2 server key",
        })?;
        let fleet = authority.fingerprint.get(..FLEET_DIGITS).unwrap_or_default();
        Ok(Self {
            server_name_prefix: format!("vpn-{fleet}."),
            fingerprint: authority.fingerprint,
            not_after: authority.not_after,
            issuer: authority.issuer,
            ca_pem,
            tls_crypt_v2,
            tls_crypt_v2_key,
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

    /// The same key, to check client keys that were wrapped under it.
    #[must_use]
    pub fn tls_crypt_v2_server_key(&self) -> &TlsCryptV2ServerKey {
        &self.tls_crypt_v2_key
    }

    /// The beginning of the common names of all servers of this fleet, and of no others. Profiles check it (`verify-x509-name`).
    #[must_use]
    pub fn server_name_prefix(&self) -> &str {
        &self.server_name_prefix
    }

    /// SHA-256 of the public key in a certificate request, as in [`Signed::public_key_sha256`]. Checks the request as [`Self::sign_client`] does.
    pub fn csr_public_key_sha256(&self, csr_pem: &str) -> Result<Vec<u8>, PkiError> {
        VerifiedCsr::parse(csr_pem)
            .map(|csr| sha256(csr.public_key_info()))
            .map_err(PkiError::InvalidCsr)
    }

    /// Signs a client certificate for this name. Only the public key is taken from the request. The key must be ECDSA P-256, and the request
    /// must be signed with it.
    pub fn sign_client(&self, common_name: &CommonName, csr_pem: &str) -> Result<Signed, PkiError> {
        self.sign(common_name.as_str(), Purpose::Client, self.client_validity, csr_pem)
    }

    /// Signs the certificate of a node's OpenVPN server; the rules of [`Self::sign_client`] apply. Its common name begins with
    /// [`Self::server_name_prefix`].
    pub fn sign_server(&self, node: &NodeId, csr_pem: &str) -> Result<Signed, PkiError> {
        self.sign(
            &self.server_common_name(node),
            Purpose::Server,
            DEFAULT_VALIDITY,
            csr_pem,
        )
    }

    /// Signs a statement of management for a node with ECDSA P-256 and SHA-256 (ASN.1). Everybody who has the CA certificate can verify it.
    /// A statement is text and not DER, so its signature cannot be used for a certificate.
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

    /// Cuts a node's id that is too long for a common name; clients check only the prefix.
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
