//! A CA as management has it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use vpnmanager_nats::{ids::CommonName, sign::SignedCertificate};
use vpnmanager_openapi::server::tls::Pair;

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

    /// A server's certificate that was valid for so many days, and will be for so many.
    pub(crate) fn sign_for_days(&self, common_name: &str, csr: &str, (past, left): (i64, i64)) -> String {
        let csr = CertificateSigningRequestParams::from_pem(csr).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(Utc::now().timestamp().unsigned_abs());
        let days = |days: i64| Duration::from_secs(days.unsigned_abs() * 24 * 60 * 60);
        params.not_before = now - days(past);
        params.not_after = now + days(left);
        params.signed_by(&csr.public_key, &self.issuer).unwrap().pem()
    }

    /// A certificate of HTTPS for this name or address, with the CA at its end.
    pub(crate) fn https(&self, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap().pem();
        let chain = format!("{leaf}{}", self.pem);
        Pair::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
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
