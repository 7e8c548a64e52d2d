//! A CA as management has it.

use chrono::{TimeDelta, Utc};
use data_encoding::BASE64;
use rcgen::{BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair};
use vpnmanager_nats::{ids::CommonName, sign::SignedCertificate};

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn sign(&self, common_name: &str, csr: &str) -> String {
        let csr = CertificateSigningRequestParams::from_pem(csr).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.signed_by(&csr.public_key, &self.issuer).unwrap().pem()
    }

    pub(crate) fn sign_user(&self, common_name: &CommonName, csr: &str) -> SignedCertificate {
        SignedCertificate {
            common_name: common_name.clone(),
            certificate: self.sign(common_name.as_str(), csr),
            serial: "01".to_owned(),
            not_before: Utc::now() - TimeDelta::hours(1),
            not_after: Utc::now() + TimeDelta::days(1),
        }
    }
}

/// A tls-crypt-v2 server key that nobody should use.
pub(crate) fn tls_crypt_v2_key() -> String {
    let body = BASE64.encode(&[7_u8; 128]);
    let lines: Vec<&str> = (0..body.len())
        .step_by(64)
        .map(|at| &body[at..body.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN OpenVPN tls-crypt-v2 server key-----\n{}\n-----END OpenVPN tls-crypt-v2 server key-----\n",
        lines.join("\n")
    )
}
