//! A fleet's authority and one credential with everything that belongs to it, made anew for each run.

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_management::pki::Pki;
use vpnmanager_nats::{
    commands::{Protocol, Remote},
    ids::CommonName,
};
use vpnmanager_profile::{
    parts::{self, Known, Parts, Sent, UnfitPart},
    profile::{Profile, ProfileError, ProfileParts},
};

/// The authority and the credential.
pub struct Site {
    /// The authority.
    pub pki: Pki,
    /// The credential.
    pub common_name: CommonName,
    /// Its certificate request, PEM.
    pub csr: String,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
    /// Its tls-crypt-v2 client key, PEM.
    pub tls_crypt_v2: String,
}

impl Site {
    /// A new one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pki = Pki::load_or_create(&folder.path().join("pki")).expect("an authority");
        let common_name: CommonName = "alice.rcikzj5wfmjtj6yy".parse().expect("a common name");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let request = CertificateParams::default().serialize_request(&key).expect("a request");
        let csr = request.pem().expect("PEM");
        let signed = pki.sign_client(&common_name, &csr).expect("a certificate");
        let client_key = pki.tls_crypt_v2_server_key().new_client_key(common_name.as_str());
        Self {
            csr,
            certificate: signed.pem,
            key: key.serialize_pem(),
            tls_crypt_v2: client_key.expect("a client key").expose_secret().to_owned(),
            common_name,
            pki,
        }
    }

    /// What management makes of these parts of a profile.
    pub fn check(&self, certificate: &str, key: &str, tls_crypt_v2: &str) -> Result<Parts, UnfitPart> {
        let sent = Sent {
            certificate,
            key,
            tls_crypt_v2,
        };
        let known = Known {
            common_name: &self.common_name,
            certificate: &self.certificate,
            server_key: self.pki.tls_crypt_v2_server_key(),
        };
        parts::check(&sent, &known)
    }

    /// A profile with these texts in place of the CA and of the certificate.
    pub fn profile(&self, ca: &str, certificate: &str) -> Result<Profile, ProfileError> {
        let remote = Remote {
            host: "vpn1.example.org".parse().expect("a host"),
            port: 1194,
            protocol: Protocol::Udp,
        };
        Profile::render(&ProfileParts {
            remotes: &[remote],
            server_name_prefix: self.pki.server_name_prefix(),
            ca,
            certificate,
            key: &SecretString::from(self.key.as_str()),
            tls_crypt_v2: &SecretString::from(self.tls_crypt_v2.as_str()),
        })
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
