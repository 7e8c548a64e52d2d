//! Whole sources, made as easy-rsa and the scripts around it leave them.

mod authorities;
mod layouts;
mod servers;
mod trouble;

use std::fs;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

use super::*;

const CLIENT: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ClientAuth;
const SERVER: ExtendedKeyUsagePurpose = ExtendedKeyUsagePurpose::ServerAuth;

/// An old authority.
struct Pki {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Pki {
    fn new(name: &str) -> Self {
        Self::ending(name, 2060)
    }

    fn ending(name: &str, year: i32) -> Self {
        let mut params = params(name, 0x7fff);
        params.not_after = date_time_ymd(year, 1, 1);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn ca(&self) -> String {
        self.certificate.pem()
    }

    fn issue(&self, name: &str, serial: u64, usage: ExtendedKeyUsagePurpose) -> Certificate {
        let mut params = params(name, serial);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("a key");
        params.signed_by(&key, &self.issuer).expect("a certificate")
    }

    /// The list of what it revoked, until the beginning of a year.
    fn crl(&self, serials: &[u64], year: i32) -> String {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2022, 3, 4),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2022, 3, 4),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a list").pem().expect("PEM")
    }
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2050, 1, 1));
    params
}

/// Lines of an index, each of state, serial number in hexadecimal, and name.
fn index(lines: &[(&str, &str, &str)]) -> String {
    let line = |(state, serial, name): &(&str, &str, &str)| {
        let revoked = if *state == "R" { "220304000000Z" } else { "" };
        format!("{state}\t20500101000000Z\t{revoked}\t{serial}\tunknown\t/CN={name}\n")
    };
    lines.iter().map(line).collect()
}

/// A folder with files of these names and contents.
struct Source {
    dir: tempfile::TempDir,
}

impl Source {
    fn new(files: &[(&str, &str)]) -> Self {
        let source = Self {
            dir: tempfile::tempdir().expect("a folder"),
        };
        for (name, content) in files {
            source.write(name, content);
        }
        source
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.dir.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, content).expect("written");
    }

    fn try_read(&self) -> Result<Found, ReadError> {
        read_at(self.dir.path(), now())
    }

    fn read(&self) -> Found {
        self.try_read().expect("a source")
    }

    /// One of its files as the source.
    fn read_file(&self, name: &str) -> Result<Found, ReadError> {
        read_at(&self.dir.path().join(name), now())
    }
}

fn now() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

/// Name, whether she is let in, and the serial numbers of her certificates; those that were revoked in brackets.
fn users(found: &Found) -> Vec<(String, bool, String)> {
    let certificates = |user: &FoundUser| {
        let certificates = user.certificates.iter().map(|certificate| {
            if certificate.is_revoked {
                format!("({})", certificate.serial)
            } else {
                certificate.serial.to_string()
            }
        });
        certificates.collect::<Vec<_>>().join(" ")
    };
    let users = found.users.iter();
    users
        .map(|user| (user.name.clone(), user.active, certificates(user)))
        .collect()
}

fn expected(users: &[(&str, bool, &str)]) -> Vec<(String, bool, String)> {
    let users = users.iter();
    users
        .map(|(name, active, certificates)| ((*name).to_owned(), *active, (*certificates).to_owned()))
        .collect()
}

/// Where remarks stand, and how they begin.
fn remarks(found: &Found) -> Vec<String> {
    let remarks = found.remarks.iter();
    remarks
        .map(|remark| format!("{} {}", remark.place, remark.text))
        .collect()
}

fn shown<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_remarks(found: &Found, expected: &[(&str, &str)]) {
    let told = remarks(found);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((place, part), remark) in expected.iter().zip(&told) {
        assert!(
            remark.starts_with(&format!("{place} ")) && remark.contains(part),
            "{place} {part} in {told:#?}"
        );
    }
}
