//! From a certificate to a profile.

use std::sync::Arc;

use secrecy::ExposeSecret;
use vpnmanager_nats::{commands::Remote, ids::CommonName, sign::SignedCertificate};
use vpnmanager_profile::{
    profile::{Profile, ProfileError, ProfileParts},
    tls_crypt_v2::{TlsCryptV2Error, TlsCryptV2ServerKey},
};
use x509_parser::pem::parse_x509_pem;

use crate::journal::{NewProfile, StoredKey};

/// What all profiles of the fleet share. Cheap to clone.
#[derive(Clone)]
pub struct Pki {
    /// The fleet's certificate authority, PEM.
    pub ca: Arc<str>,
    /// What the common name of every node's certificate begins with.
    pub server_name_prefix: Arc<str>,
    /// The key under which client keys are wrapped.
    pub tls_crypt_v2: Arc<TlsCryptV2ServerKey>,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pki")
            .field("server_name_prefix", &self.server_name_prefix)
            .finish_non_exhaustive()
    }
}

/// A profile could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The tls-crypt-v2 client key could not be made.
    #[error("making a tls-crypt-v2 key failed")]
    TlsCryptV2(#[from] TlsCryptV2Error),
    /// A part of the profile is not usable.
    #[error("putting a profile together failed")]
    Profile(#[from] ProfileError),
    /// Management certified another key.
    #[error("the certificate is for another key than the one it was asked for")]
    ForeignCertificate,
}

/// Renders a profile from its parts. `signed` is a new certificate; without one the stored certificate is used.
pub(super) fn render(
    pki: &Pki,
    key: &StoredKey,
    signed: Option<SignedCertificate>,
    common_name: &CommonName,
    remotes: &[Remote],
) -> Result<NewProfile, RenderError> {
    let certificate = signed
        .as_ref()
        .map(|signed| signed.certificate.as_str())
        .or(key.certificate.as_deref());
    let certificate = certificate.ok_or(RenderError::ForeignCertificate)?;
    if !is_for_key(certificate, key.key.expose_secret()) {
        return Err(RenderError::ForeignCertificate);
    }
    let tls_crypt_v2 = match &key.tls_crypt_v2 {
        Some(present) => present.clone(),
        None => pki.tls_crypt_v2.new_client_key(common_name.as_str())?,
    };
    let profile = Profile::render(&ProfileParts {
        remotes,
        server_name_prefix: &pki.server_name_prefix,
        ca: &pki.ca,
        certificate,
        key: &key.key,
        tls_crypt_v2: &tls_crypt_v2,
    })?;
    Ok(NewProfile {
        common_name: common_name.clone(),
        tls_crypt_v2,
        remotes: remotes.to_vec(),
        checksum: profile.checksum(),
        text: profile.expose().into(),
        certificate: signed,
    })
}

/// Whether the certificate's public key is the key's.
pub(crate) fn is_for_key(certificate: &str, key: &str) -> bool {
    let Ok((_, pem)) = parse_x509_pem(certificate.as_bytes()) else {
        return false;
    };
    let (Ok(certificate), Ok(key)) = (pem.parse_x509(), rcgen::KeyPair::from_pem(key)) else {
        return false;
    };
    certificate.public_key().subject_public_key.data.as_ref() == rcgen::PublicKeyData::der_bytes(&key)
}
