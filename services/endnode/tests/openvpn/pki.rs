//! A certificate authority for one test.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use vpnmanager_nats::ids::CommonName;

/// What a node or a user holds.
pub(crate) struct Credential {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

pub(crate) struct Pki {
    pub(crate) ca: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self::called("Test CA")
    }

    pub(crate) fn called(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(&key).expect("a CA certificate").pem();
        Self {
            ca,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn server(&self, name: &str) -> Credential {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn user(&self, name: &CommonName) -> Credential {
        self.issue(name.as_str(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Another certificate of a server, for the key that it has.
    pub(crate) fn server_again(&self, name: &str, key: &str) -> String {
        let key = KeyPair::from_pem(key).expect("a key");
        self.certify(name, ExtendedKeyUsagePurpose::ServerAuth, &key)
    }

    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Credential {
        let key = KeyPair::generate().expect("a key");
        Credential {
            certificate: self.certify(name, purpose, &key),
            key: key.serialize_pem(),
        }
    }

    fn certify(&self, name: &str, purpose: ExtendedKeyUsagePurpose, key: &KeyPair) -> String {
        let mut params = named(name);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).expect("a certificate").pem()
    }
}

fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
