//! The certificate that management makes itself. It is kept, so that a start alone brings no other one, and its key stays when it is renewed:
//! who pins the key need not follow.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use secrecy::ExposeSecret as _;
use vpnmanager_openapi::server::tls::{Pair, PairError};
use vpnmanager_runtime::secret_file::{self, SecretFileError};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use crate::domain::certificates::node::renews_at;
use crate::pki::{CA_CERTIFICATE, CertificateFacts, OpenPkiError, Pki, PkiError, first_certificate};

/// Makes the certificate of one replica.
#[derive(Debug)]
pub struct OwnCertificate {
    folder: PathBuf,
    path: PathBuf,
    names: Vec<String>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OwnCertificateError {
    /// The file cannot be written.
    #[error("the certificate cannot be kept")]
    File(#[from] SecretFileError),
    /// The fleet's CA cannot be read.
    #[error("the fleet's CA cannot be read")]
    Authority(#[from] OpenPkiError),
    /// The key cannot be made.
    #[error("the key of the certificate cannot be made")]
    Key(#[source] rcgen::Error),
    /// The CA signs none.
    #[error("the fleet's CA does not sign the certificate")]
    Sign(#[from] PkiError),
    /// What was made is of no use, as when the clock is wrong.
    #[error("the certificate cannot be served")]
    Pair(#[from] PairError),
}

/// Where the certificate of a replica is, with its key, in the folder of the CA.
pub(super) fn file_of(folder: &Path, replica: &str) -> PathBuf {
    folder.join(format!("https-{replica}.pem"))
}

/// Whether two thirds of its life are over.
fn is_old(pair: &Pair, now: DateTime<Utc>) -> bool {
    now >= renews_at(pair.not_before(), pair.not_after())
}

impl OwnCertificate {
    /// For these names and addresses, in a file of the replica in the folder of the CA.
    #[must_use]
    pub fn new(folder: &Path, replica: &str, names: Vec<String>) -> Self {
        Self {
            folder: folder.to_owned(),
            path: file_of(folder, replica),
            names,
        }
    }

    /// Whether another one is to be made: most of its life is over, or another CA has taken the place of the one that it is of. Without a CA in the
    /// folder there is none: it would be of a new one, which nobody knows.
    pub(super) fn is_due(&self, pair: &Pair, now: DateTime<Utc>) -> bool {
        let authority = fs::read_to_string(self.folder.join(CA_CERTIFICATE)).ok();
        let authority = authority.as_deref().and_then(CertificateFacts::of_pem);
        authority.is_some_and(|facts| is_old(pair, now) || pair.root_fingerprint() != Some(facts.fingerprint.as_str()))
    }

    /// The one that is kept, if it is of this CA, for these names, and not due; else a new one.
    ///
    /// # Errors
    /// It can be neither read nor made.
    pub fn current(&self) -> Result<Pair, OwnCertificateError> {
        let pki = Pki::load_or_create(&self.folder)?;
        let kept = secret_file::read(&self.path).ok();
        let kept = kept.as_ref().map(|text| text.expose_secret());
        if let Some(pair) = kept.and_then(|text| self.still_good(&pki, text)) {
            return Ok(pair);
        }
        let key = match kept.map(KeyPair::from_pem) {
            Some(Ok(key)) => key,
            Some(Err(_)) | None => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(OwnCertificateError::Key)?,
        };
        let certificate = pki.sign_https(&self.names, &key)?;
        let chain = format!("{certificate}{}", pki.ca_pem());
        let pair = Pair::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes())?;
        // The key first: what reads one block of PEM finds it.
        secret_file::write(&self.path, format!("{}{chain}", key.serialize_pem()))?;
        Ok(pair)
    }

    fn still_good(&self, pki: &Pki, text: &str) -> Option<Pair> {
        let pair = Pair::from_pem(text.as_bytes(), text.as_bytes()).ok()?;
        let is_ours = pair.root_fingerprint() == Some(pki.ca_fingerprint());
        let has_names = names_in(text)? == self.names;
        (is_ours && has_names && !is_old(&pair, Utc::now())).then_some(pair)
    }
}

/// The names of the first certificate, in their order.
fn names_in(text: &str) -> Option<Vec<String>> {
    let (_, pem) = parse_x509_pem(first_certificate(text)?.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let names = names.value.general_names.iter().filter_map(|name| {
        if let GeneralName::DNSName(name) = name {
            Some((*name).to_owned())
        } else if let GeneralName::IPAddress(bytes) = name {
            address_of(bytes).map(|address| address.to_string())
        } else {
            None
        }
    });
    Some(names.collect())
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn own(folder: &Path, names: &[&str]) -> OwnCertificate {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        OwnCertificate::new(folder, "management-1", names)
    }

    #[test]
    fn it_is_kept_until_its_names_change_or_its_time_comes_and_its_key_stays() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["vpn.example", "192.0.2.7", "2001:db8::7", "localhost"];
        let first = own(folder.path(), &names);
        let pair = first.current().unwrap();
        let pki = Pki::load_or_create(folder.path()).unwrap();
        assert_eq!(pair.root_fingerprint(), Some(pki.ca_fingerprint()));
        assert!(!first.is_due(&pair, Utc::now()) && first.is_due(&pair, pair.not_after()));
        let life = pair.not_after() - pair.not_before();
        assert!(first.is_due(&pair, pair.not_before() + life * 2 / 3));

        let path = folder.path().join("https-management-1.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let kept = fs::read_to_string(&path).unwrap();
        assert_eq!(names_in(&kept).unwrap(), names);
        own(folder.path(), &names).current().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), kept);

        own(folder.path(), &["other.example"]).current().unwrap();
        let other = fs::read_to_string(&path).unwrap();
        assert_eq!(names_in(&other).unwrap(), ["other.example"]);
        let key = |text: &str| KeyPair::from_pem(text).unwrap().serialize_pem();
        assert_eq!(key(&other), key(&kept));

        fs::write(&path, "damaged").unwrap();
        own(folder.path(), &names).current().unwrap();
        assert_eq!(names_in(&fs::read_to_string(&path).unwrap()).unwrap(), names);
    }

    #[test]
    fn it_follows_the_authority_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let own = own(folder.path(), &["vpn.example"]);
        let first = own.current().unwrap();
        let pki = Pki::load_or_create(folder.path()).unwrap();
        let (_pem, next) = pki.prepare_next(folder.path()).unwrap();
        assert!(!own.is_due(&first, Utc::now()), "callers know the first one only");

        Pki::promote_next(folder.path()).unwrap();
        assert!(own.is_due(&first, Utc::now()));
        let second = own.current().unwrap();
        assert_eq!(second.root_fingerprint(), Some(next.as_str()));
        assert!(!own.is_due(&second, Utc::now()));

        fs::remove_file(folder.path().join(CA_CERTIFICATE)).unwrap();
        assert!(!own.is_due(&first, first.not_after()), "no authority is made by and by");
    }
}
