//! Certificates as OpenVPN needs them: X.509 v3, ECDSA P-256, with the key usages that `remote-cert-tls` checks.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::{digest, rand};
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, date_time_ymd,
};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_nats::security::BACKDATED;
use x509_parser::pem::parse_x509_pem;

use super::open_error::OpenPkiError;

/// Long, because another CA takes its place only once all certificates of users that it signed have ended.
const CA_VALIDITY: TimeDelta = TimeDelta::days(25 * 365);
const SERIAL_BYTES: usize = 16;

/// What a leaf certificate is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Client,
    Server,
}

/// The period of validity, in whole seconds as in the certificate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub(super) not_before: DateTime<Utc>,
    pub(super) not_after: DateTime<Utc>,
}

/// A CA certificate and its key; they were checked to belong together.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
    pub(super) fingerprint: String,
    pub(super) not_after: DateTime<Utc>,
}

impl Validity {
    /// From [`BACKDATED`] ago until `duration` from now, but not beyond `end`, the end of the CA.
    pub(super) fn from_now(duration: Duration, end: DateTime<Utc>) -> Self {
        let now = whole_seconds(Utc::now());
        let wanted = TimeDelta::from_std(duration)
            .ok()
            .and_then(|duration| now.checked_add_signed(duration));
        Self {
            not_before: now - BACKDATED,
            not_after: wanted.map_or(end, |wanted| wanted.min(end)),
        }
    }
}

/// The certificate of a new CA, PEM.
pub(super) fn new_ca(key: &KeyPair) -> Result<String, rcgen::Error> {
    let now = whole_seconds(Utc::now());
    let validity = Validity {
        not_before: now - BACKDATED,
        not_after: now + CA_VALIDITY,
    };
    let serial = new_serial();
    // A part of the serial number makes the names of the CAs of two fleets differ.
    let name = format!(
        "VPN Manager CA {}",
        HEXLOWER.encode(serial.get(..4).unwrap_or_default())
    );
    let mut params = params(&name, validity, serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

/// The certificate of a client or a server, still unsigned.
pub(super) fn leaf(
    common_name: &str,
    purpose: Purpose,
    validity: Validity,
    serial: [u8; SERIAL_BYTES],
) -> CertificateParams {
    let mut params = params(common_name, validity, serial);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match purpose {
        Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params
}

/// The names and addresses that a certificate of HTTPS is for.
pub(super) fn names(names: &[String]) -> Result<Vec<SanType>, rcgen::Error> {
    let name = |name: &String| match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_name) => name.as_str().try_into().map(SanType::DnsName),
    };
    names.iter().map(name).collect()
}

/// Random, positive and of full length (RFC 5280, section 4.1.2.2).
///
/// # Panics
/// When the operating system has no randomness to give.
pub(super) fn new_serial() -> [u8; SERIAL_BYTES] {
    let mut serial = [0_u8; SERIAL_BYTES];
    rand::fill(&mut serial).expect("the operating system provides randomness");
    // The top bit is the sign; the encoding drops a leading zero byte.
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

/// Reads a CA certificate and its key, and checks that they belong together.
pub(super) fn read_authority(dir: &Path, ca_pem: &str, ca_key: SecretString) -> Result<Authority, OpenPkiError> {
    let unusable = |reason: &'static str| OpenPkiError::Unusable {
        dir: dir.to_owned(),
        reason,
    };
    let (_, pem) = parse_x509_pem(ca_pem.as_bytes()).map_err(|_unclear| unusable("ca.pem is not PEM"))?;
    let certificate = pem
        .parse_x509()
        .map_err(|_unclear| unusable("ca.pem is not a certificate"))?;
    if !certificate.is_ca() {
        return Err(unusable("ca.pem is not the certificate of a CA"));
    }
    let key =
        KeyPair::from_pem(ca_key.expose_secret()).map_err(|_unclear| unusable("ca.key is not a private key in PEM"))?;
    if key.subject_public_key_info() != certificate.public_key().raw {
        return Err(unusable("ca.key is not the key of ca.pem"));
    }
    let not_after = DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0);
    let not_after = not_after.ok_or_else(|| unusable("the end of ca.pem is out of range"))?;
    if not_after <= Utc::now() {
        return Err(unusable("ca.pem has expired"));
    }
    let fingerprint = HEXLOWER.encode(digest::digest(&digest::SHA256, &pem.contents).as_ref());
    let issuer = Issuer::from_ca_cert_pem(ca_pem, key).map_err(|source| OpenPkiError::Certificate { source })?;
    Ok(Authority {
        issuer,
        pem: ca_pem.to_owned(),
        fingerprint,
        not_after,
    })
}

fn params(common_name: &str, validity: Validity, serial: [u8; SERIAL_BYTES]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |time: DateTime<Utc>| epoch + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or_default());
    params.not_before = at(validity.not_before);
    params.not_after = at(validity.not_after);
    params
}

fn whole_seconds(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(time.timestamp(), 0).unwrap_or(time)
}
