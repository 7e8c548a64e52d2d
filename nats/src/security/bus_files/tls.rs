//! The bus's own CA and the server's certificate: ECDSA P-256.

use std::path::Path;

use chrono::{Datelike as _, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use secrecy::ExposeSecret as _;
use vpnmanager_secret_file as secret_file;

use super::{hosts, init_error::BusInitError, names};
use crate::security::BACKDATED;

/// Long, because an expired one stops the whole bus; `bus-init` makes a new server certificate whenever it runs.
const CA_DAYS: i64 = 20 * 365;
const SERVER_DAYS: i64 = 10 * 365;

/// The files of a new CA, and the key of the server.
pub(super) struct NewCa {
    certificate: String,
    key: String,
    server_key: String,
}

impl NewCa {
    pub(super) fn files(self) -> Vec<(&'static str, String)> {
        vec![
            (names::CA_CERTIFICATE, self.certificate),
            (names::CA_KEY, self.key),
            (names::SERVER_KEY, self.server_key),
        ]
    }
}

pub(super) fn new_ca() -> Result<NewCa, BusInitError> {
    let generate = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(BusInitError::Certificate);
    let (key, server_key) = (generate()?, generate()?);
    let serial = serial();
    // A name of its own, so that a client with another fleet's CA is told of an unknown issuer, not of a bad signature.
    let tag = HEXLOWER.encode(&serial.to_bytes()[..4]);
    let mut params = params(&format!("VPN Manager bus CA {tag}"), CA_DAYS);
    params.serial_number = Some(serial);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(BusInitError::Certificate)?.pem();
    Ok(NewCa {
        certificate,
        key: key.serialize_pem(),
        server_key: server_key.serialize_pem(),
    })
}

/// A server certificate for these names, signed by the CA in the folder.
pub(super) fn server_certificate(dir: &Path, hosts: &[String]) -> Result<String, BusInitError> {
    let key = |name| {
        KeyPair::from_pem(secret_file::read(&dir.join(name))?.expose_secret()).map_err(BusInitError::Certificate)
    };
    let (ca_key, server_key) = (key(names::CA_KEY)?, key(names::SERVER_KEY)?);
    let ca_certificate = secret_file::read(&dir.join(names::CA_CERTIFICATE))?;
    let issuer = Issuer::from_ca_cert_pem(ca_certificate.expose_secret(), ca_key).map_err(BusInitError::Certificate)?;

    let mut params = params("VPN Manager bus", SERVER_DAYS);
    params.subject_alt_names = hosts::sans(hosts)?;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Servers of a cluster call each other with it too.
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
        .signed_by(&server_key, &issuer)
        .map(|certificate| certificate.pem())
        .map_err(BusInitError::Certificate)
}

fn params(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, until) = (Utc::now() - BACKDATED, Utc::now() + TimeDelta::days(days));
    params.not_before = date_time_ymd(from.year(), small(from.month()), small(from.day()));
    params.not_after = date_time_ymd(until.year(), small(until.month()), small(until.day()));
    params.serial_number = Some(serial());
    params
}

/// Random, positive, 16 bytes: the same key gets more than one certificate.
fn serial() -> SerialNumber {
    let mut bytes = *uuid::Uuid::new_v4().as_bytes();
    bytes[0] = (bytes[0] & 0x7f) | 0x01;
    SerialNumber::from_slice(&bytes)
}

fn small(number: u32) -> u8 {
    u8::try_from(number).expect("months and days are below 32")
}
