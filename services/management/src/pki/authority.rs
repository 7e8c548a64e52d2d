//! Signs certificates. All nodes share one authority, so that a profile works on each of them.

use std::iter;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use rcgen::{KeyPair, SigningKey as _};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_nats::ids::{CommonName, NodeId};
use vpnmanager_profile::tls_crypt_v2::TlsCryptV2ServerKey;

use super::certificate::{self, Authority, Purpose, Validity};
use super::csr::{InvalidCsr, VerifiedCsr};
use super::folder::{self, Material, Pair};
use super::open_error::OpenPkiError;
use super::sealed::Sealer;

/// The default validity of certificates. It is long because the allow-list ends access, not the certificate.
const DEFAULT_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Of the certificate of HTTPS, which renews itself.
const HTTPS_VALIDITY: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// No profile takes it for a server's: those begin with `vpn-`.
pub(super) const HTTPS_NAME: &str = "VPN Manager HTTPS";
/// How many hex digits of the CA's fingerprint the names of servers contain.
const FLEET_DIGITS: usize = 8;

/// The certificate authority of the fleet. Signing is CPU-bound (0.1 ms): call it on a blocking thread.
pub struct Pki {
    first: Authority,
    /// The one that is to take its place, while there is one.
    next: Option<Authority>,
    /// The certificates of those before, PEM.
    former: String,
    server_name_prefix: String,
    tls_crypt_v2: SecretString,
    tls_crypt_v2_key: TlsCryptV2ServerKey,
    client_validity: Duration,
    server_validity: Duration,
}

/// What is signed.
struct Leaf<'a> {
    common_name: &'a str,
    purpose: Purpose,
    validity: Duration,
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
    /// The authority is one whose key is not in the folder of this replica.
    #[error(
        "the key of the authority {0} is not in PKI_DIR of this replica: copy the folder of the replica that has it, and start this one again"
    )]
    UnknownAuthority(String),
    /// The signing thread did not finish because the process is stopping.
    #[error("signing was interrupted")]
    Interrupted,
}

impl Pki {
    /// Opens the authority in `dir`, or makes one there if the folder holds none. Processes that do so at the same time get the same authority.
    pub fn load_or_create(dir: &Path) -> Result<Self, OpenPkiError> {
        Self::of(dir, Material::load_or_create(dir)?)
    }

    /// Opens the authority in `dir` as it is, for who only looks: makes and changes nothing, and waits for nobody.
    pub fn open(dir: &Path) -> Result<Self, OpenPkiError> {
        Self::of(dir, Material::read(dir)?)
    }

    fn of(dir: &Path, material: Material) -> Result<Self, OpenPkiError> {
        let Material {
            ca_pem,
            ca_key,
            tls_crypt_v2,
            next,
            former,
            name_prefix,
        } = material;
        let first = certificate::read_authority(dir, &ca_pem, ca_key)?;
        let next = next.map(|Pair { pem, key }| certificate::read_authority(dir, &pem, key));
        let server_key = TlsCryptV2ServerKey::from_pem(tls_crypt_v2.expose_secret());
        let tls_crypt_v2_key = server_key.map_err(|_unclear| OpenPkiError::Unusable {
            dir: dir.to_owned(),
            reason: "tls-crypt-v2.key is not a tls-crypt-v2 server key",
        })?;
        let fleet = first.fingerprint.get(..FLEET_DIGITS).unwrap_or_default();
        Ok(Self {
            server_name_prefix: name_prefix.unwrap_or_else(|| format!("vpn-{fleet}.")),
            next: next.transpose()?,
            former,
            first,
            tls_crypt_v2,
            tls_crypt_v2_key,
            client_validity: DEFAULT_VALIDITY,
            server_validity: DEFAULT_VALIDITY,
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

    /// Sets how long certificates of nodes are valid; never longer than the CA itself.
    #[must_use]
    pub fn with_server_validity(self, server_validity: Duration) -> Self {
        Self {
            server_validity,
            ..self
        }
    }

    /// Makes the authority that is to take the place of the one in the folder, where there is none yet, and gives its certificate (PEM) and the
    /// fingerprint of that.
    pub fn prepare_next(&self, dir: &Path) -> Result<(String, String), OpenPkiError> {
        folder::create_next(dir, &self.server_name_prefix)?;
        let next = Self::load_or_create(dir)?.next.ok_or_else(|| OpenPkiError::Unusable {
            dir: dir.to_owned(),
            reason: "next-ca.pem was taken away",
        })?;
        Ok((next.pem, next.fingerprint))
    }

    /// Whether [`Self::promote_next`] was interrupted: the folder cannot be opened until it is completed.
    #[must_use]
    pub fn is_half_promoted(dir: &Path) -> bool {
        folder::is_half_promoted(dir)
    }

    /// Makes the next authority the only one in the folder. The certificate of the one of before is kept: see [`Self::ever_trusted`].
    pub fn promote_next(dir: &Path) -> Result<(), OpenPkiError> {
        folder::promote_next(dir)
    }

    /// When a certificate of a node that this authority signs now ends.
    pub fn server_end(&self, authority: &str) -> Result<DateTime<Utc>, PkiError> {
        let authority = self.authority(authority)?;
        Ok(Validity::from_now(self.server_validity, authority.not_after).not_after)
    }

    /// The certificate of the first authority of the folder, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.first.pem
    }

    /// The certificates of all authorities that the folder knows of, PEM: also of those that were replaced, which signed checkpoints of the audit
    /// trail.
    #[must_use]
    pub fn ever_trusted(&self) -> String {
        let next = self.next.iter().map(|next| next.pem.as_str());
        let all = iter::once(self.first.pem.as_str())
            .chain(next)
            .chain([self.former.as_str()]);
        all.map(|pem| format!("{}\n", pem.trim_end())).collect()
    }

    /// When it ends.
    #[must_use]
    pub fn ca_not_after(&self) -> DateTime<Utc> {
        self.first.not_after
    }

    /// SHA-256 of that certificate (DER), lower-case hex.
    #[must_use]
    pub fn ca_fingerprint(&self) -> &str {
        &self.first.fingerprint
    }

    /// Whether the key of the authority with this fingerprint is in the folder.
    #[must_use]
    pub fn holds(&self, authority: &str) -> bool {
        self.authority(authority).is_ok()
    }

    fn authority(&self, fingerprint: &str) -> Result<&Authority, PkiError> {
        let mut all = iter::once(&self.first).chain(&self.next);
        all.find(|authority| authority.fingerprint == fingerprint)
            .ok_or_else(|| PkiError::UnknownAuthority(fingerprint.to_owned()))
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
        self.sign_client_by(&self.first.fingerprint, common_name, csr_pem)
    }

    /// The same by the authority with this fingerprint.
    pub fn sign_client_by(&self, authority: &str, common_name: &CommonName, csr_pem: &str) -> Result<Signed, PkiError> {
        let leaf = Leaf {
            common_name: common_name.as_str(),
            purpose: Purpose::Client,
            validity: self.client_validity,
        };
        self.sign(self.authority(authority)?, leaf, csr_pem)
    }

    /// Signs the certificate of a node's OpenVPN server; the rules of [`Self::sign_client`] apply. Its common name begins with
    /// [`Self::server_name_prefix`].
    pub fn sign_server(&self, node: &NodeId, csr_pem: &str) -> Result<Signed, PkiError> {
        self.sign_server_by(&self.first.fingerprint, node, csr_pem)
    }

    /// The same by the authority with this fingerprint.
    pub fn sign_server_by(&self, authority: &str, node: &NodeId, csr_pem: &str) -> Result<Signed, PkiError> {
        let leaf = Leaf {
            common_name: &self.server_common_name(node),
            purpose: Purpose::Server,
            validity: self.server_validity,
        };
        self.sign(self.authority(authority)?, leaf, csr_pem)
    }

    /// The certificate of HTTPS for these names and addresses, and for this key, by the first authority of the folder. Its common name is none of a
    /// node's.
    pub fn sign_https(&self, names: &[String], key: &KeyPair) -> Result<String, PkiError> {
        let validity = Validity::from_now(HTTPS_VALIDITY, self.first.not_after);
        let mut params = certificate::leaf(HTTPS_NAME, Purpose::Server, validity, certificate::new_serial());
        params.subject_alt_names = certificate::names(names).map_err(PkiError::Sign)?;
        let signed = params.signed_by(key, &self.first.issuer).map_err(PkiError::Sign)?;
        Ok(signed.pem())
    }

    /// Signs a statement of management for a node with ECDSA P-256 and SHA-256 (ASN.1), by the authority with this fingerprint. Everybody who has
    /// its certificate can verify it.
    /// A statement is text and not DER, so its signature cannot be used for a certificate.
    pub fn sign_statement(&self, authority: &str, text: &str) -> Result<Vec<u8>, PkiError> {
        let issuer = &self.authority(authority)?.issuer;
        issuer.key().sign(text.as_bytes()).map_err(PkiError::Sign)
    }

    /// Encrypts a secret for the database, which only whoever holds the CA's key can read then. `purpose` says what it is, and must be said again.
    #[must_use]
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        sealer(self.next.as_ref().unwrap_or(&self.first)).seal(purpose, secret)
    }

    /// The secret that was encrypted so; `None` where it was with the key of an authority that is not in the folder, or for another purpose.
    #[must_use]
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut all = iter::once(&self.first).chain(&self.next);
        all.find_map(|authority| sealer(authority).unseal(purpose, sealed))
    }

    fn sign(&self, authority: &Authority, leaf: Leaf<'_>, csr_pem: &str) -> Result<Signed, PkiError> {
        let csr = VerifiedCsr::parse(csr_pem).map_err(PkiError::InvalidCsr)?;
        let validity = Validity::from_now(leaf.validity, authority.not_after);
        let serial = certificate::new_serial();
        let params = certificate::leaf(leaf.common_name, leaf.purpose, validity, serial);
        let signed = params
            .signed_by(csr.public_key(), &authority.issuer)
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
            .field("fingerprint", &self.first.fingerprint)
            .finish_non_exhaustive()
    }
}

fn sealer(authority: &Authority) -> Sealer {
    Sealer::of(authority.issuer.key().serialized_der())
}

/// SHA-256 of these bytes.
pub(super) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}
