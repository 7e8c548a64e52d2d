//! One certificate: what OpenVPN goes by.

use chrono::{DateTime, Utc};
use vpnmanager_nats::old_certificates::SerialNumber;
use x509_parser::{
    certificate::X509Certificate,
    error::{PEMError, X509Error},
    extensions::ParsedExtension,
    nom::Err,
    pem::Pem,
    prelude::FromDer as _,
    time::ASN1Time,
    x509::AttributeTypeAndValue,
};

use crate::{moment::is_bounded, serial};

/// The labels of certificates (RFC 7468, section 5, and what OpenSSL writes besides).
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What certificates and lists of revoked ones begin with that are not PEM (X.690, section 8.9).
const SEQUENCE: u8 = 0x30;

/// What of it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The last common name of its subject: the one that OpenVPN takes (`extract_x509_field_ssl`).
    pub(crate) common_name: Option<String>,
    /// Its whole subject, for an operator.
    pub(crate) name: String,
    pub(crate) serial: SerialNumber,
    pub(crate) not_before: DateTime<Utc>,
    pub(crate) not_after: DateTime<Utc>,
    pub(crate) purpose: Purpose,
    /// Its subject and that of its authority, as they are compared.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Also one that says nothing, and one that is for both sides.
    Client,
    /// A server, and no client.
    Server,
    /// An authority.
    Authority,
}

/// Why a file is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// Neither PEM nor DER.
    #[error("there is no certificate in it")]
    Missing,
    /// A PEM block that is cut off or overwritten.
    #[error("a PEM block in it is damaged")]
    Pem(#[source] PEMError),
    /// Not the structure of a certificate.
    #[error("it has not the structure of a certificate")]
    Der(#[source] Err<X509Error>),
    /// A number that OpenVPN cannot name.
    #[error("its serial number is negative or longer than 20 bytes")]
    Serial,
    /// Before 1970.
    #[error("its validity begins or ends before 1970")]
    Validity,
}

/// All certificates of a file in their order, PEM or DER. There is at least one.
pub(crate) fn certificates_in(bytes: &[u8]) -> Result<Vec<Certificate>, BadCertificate> {
    blocks(bytes)?.iter().map(|der| parse(der)).collect()
}

/// The same, as they are encoded.
fn blocks(bytes: &[u8]) -> Result<Vec<Vec<u8>>, BadCertificate> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if is_der(bytes) {
        return Ok(vec![bytes.to_vec()]);
    }
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(bytes) {
        let block = block.map_err(BadCertificate::Pem)?;
        if LABELS.contains(&block.label.as_str()) {
            found.push(block.contents);
        }
    }
    if found.is_empty() {
        Err(BadCertificate::Missing)
    } else {
        Ok(found)
    }
}

/// Whether it is one that is not PEM.
pub(super) fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&SEQUENCE)
}

fn parse(der: &[u8]) -> Result<Certificate, BadCertificate> {
    let (_, read) = X509Certificate::from_der(der).map_err(BadCertificate::Der)?;
    let is_negative = read.raw_serial().first().is_some_and(|byte| byte & 0x80 != 0);
    let serial = serial::from_number(&read.tbs_certificate.serial).filter(|_| !is_negative);
    Ok(Certificate {
        common_name: read.subject().iter_common_name().last().map(text_of),
        name: read.subject().to_string(),
        serial: serial.ok_or(BadCertificate::Serial)?,
        not_before: time_of(read.validity().not_before)?,
        not_after: time_of(read.validity().not_after)?,
        purpose: purpose_of(&read),
        subject: read.subject().as_raw().to_vec(),
        issuer: read.issuer().as_raw().to_vec(),
        public_key: read.public_key().subject_public_key.data.to_vec(),
    })
}

/// Old programs wrote names that are not ASCII in Latin-1.
fn text_of(value: &AttributeTypeAndValue<'_>) -> String {
    let latin1 = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect();
    value.as_str().map_or_else(|_| latin1(value.as_slice()), str::to_owned)
}

pub(super) fn time_of(time: ASN1Time) -> Result<DateTime<Utc>, BadCertificate> {
    let time = DateTime::from_timestamp(time.timestamp(), 0).filter(is_bounded);
    time.ok_or(BadCertificate::Validity)
}

/// The rules of `remote-cert-tls` of OpenVPN, and of `ns-cert-type` before it, which easy-rsa 2 was made for.
fn purpose_of(certificate: &X509Certificate<'_>) -> Purpose {
    if certificate.is_ca() {
        return Purpose::Authority;
    }
    let is_server = match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.server_auth && !usage.value.client_auth && !usage.value.any,
        Ok(None) | Err(_) => certificate.extensions().iter().any(|extension| {
            matches!(extension.parsed_extension(), ParsedExtension::NSCertType(kinds) if kinds.ssl_server() && !kinds.ssl_client())
        }),
    };
    if is_server { Purpose::Server } else { Purpose::Client }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        SerialNumber as RawSerial, date_time_ymd,
    };

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "alice");
        params.serial_number = Some(RawSerial::from(vec![0x01, 0x00]));
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 2), date_time_ymd(2060, 1, 2));
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate")
    }

    fn read(bytes: &[u8]) -> Certificate {
        let mut found = certificates_in(bytes).expect("certificates");
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn pem_and_der_are_read_alike_also_with_text_around() {
        let made = certificate(|_| {});
        let expected = read(made.der());
        assert_eq!(expected.common_name.as_deref(), Some("alice"));
        assert_eq!(expected.serial, "256");
        assert_eq!(expected.not_after.to_rfc3339(), "2060-01-02T00:00:00+00:00");
        assert_eq!(expected.subject, expected.issuer);
        let pem = made.pem();
        for text in [
            pem.clone(),
            format!("\u{feff}{pem}"),
            format!("Certificate:\n    Data:\n        Version: 3 (0x2)\n{pem}\n"),
            pem.replace('\n', "\r\n"),
        ] {
            assert_eq!(read(text.as_bytes()), expected);
        }
        let two = format!("{pem}{pem}");
        assert_eq!(certificates_in(two.as_bytes()).expect("two").len(), 2);
    }

    #[test]
    fn what_is_no_certificate_is_said() {
        let made = certificate(|_| {});
        let (pem, der) = (made.pem(), made.der().to_vec());
        let cut = &pem[..pem.len() / 2];
        assert!(matches!(certificates_in(b""), Err(BadCertificate::Missing)));
        assert!(matches!(
            certificates_in(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            Err(BadCertificate::Missing)
        ));
        assert!(matches!(certificates_in(cut.as_bytes()), Err(BadCertificate::Pem(_))));
        assert!(matches!(
            certificates_in(&der[..der.len() / 2]),
            Err(BadCertificate::Der(_))
        ));
        let negative = certificate(|params| params.serial_number = Some(RawSerial::from(vec![0xff; 21])));
        assert!(matches!(certificates_in(negative.der()), Err(BadCertificate::Serial)));
    }

    #[test]
    fn servers_are_told_by_what_their_certificates_are_for() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        for (usages, purpose) in [
            (vec![], Purpose::Client),
            (vec![ClientAuth], Purpose::Client),
            (vec![ServerAuth, ClientAuth], Purpose::Client),
            (vec![Any, ServerAuth], Purpose::Client),
            (vec![ServerAuth], Purpose::Server),
        ] {
            let made = certificate(|params| params.extended_key_usages = usages.clone());
            assert_eq!(read(made.der()).purpose, purpose, "{usages:?}");
        }
        // `nsCertType=server`, OID 2.16.840.1.113730.1.1: a bit string of 8 bits, the second of them set.
        let netscape = CustomExtension::from_oid_content(&[2, 16, 840, 1, 113_730, 1, 1], vec![3, 2, 6, 0x40]);
        let made = certificate(|params| params.custom_extensions = vec![netscape]);
        assert_eq!(read(made.der()).purpose, Purpose::Server);
        let made = certificate(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
        assert_eq!(read(made.der()).purpose, Purpose::Authority);
    }

    #[test]
    fn the_last_common_name_is_the_one_that_openvpn_takes() {
        let made = certificate(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, "José Ñuñez");
            params.distinguished_name.push(DnType::OrganizationName, "Example");
        });
        let read = read(made.der());
        assert_eq!(read.common_name.as_deref(), Some("José Ñuñez"));
        assert!(read.name.contains("Example"), "{}", read.name);
    }
}
