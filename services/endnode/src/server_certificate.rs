//! The certificate of the node's OpenVPN server: the one that its file holds, and the one that it uses. OpenVPN reads the file when it starts, and
//! at no other time.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use vpnmanager_nats::sign::{Fingerprint, RunningServer};
use x509_parser::pem::{Pem, parse_x509_pem};

/// An OpenVPN reads its certificate before it says that it serves, this long before at most.
const STARTS_WITHIN: TimeDelta = TimeDelta::seconds(15);

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before: DateTime<Utc>,
    /// Until when.
    pub not_after: DateTime<Utc>,
}

impl Validity {
    /// That of the first certificate of a text; `None` where there is none.
    pub fn of_pem(text: &str) -> Option<Self> {
        let (_, pem) = parse_x509_pem(text.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        let validity = certificate.validity();
        Some(Self {
            not_before: DateTime::from_timestamp(validity.not_before.timestamp(), 0)?,
            not_after: DateTime::from_timestamp(validity.not_after.timestamp(), 0)?,
        })
    }
}

/// When this certificate should have been renewed: management does so between two thirds and three quarters of its life, of each node at a moment of
/// its own. `None` where it cannot be read.
pub fn due_at(pem: &str) -> Option<DateTime<Utc>> {
    let Validity { not_before, not_after } = Validity::of_pem(pem)?;
    Some(not_before + (not_after - not_before) / 4 * 3)
}

/// SHA-256 of each certificate of a text, in its order.
pub fn fingerprints(text: &str) -> Vec<Fingerprint> {
    let blocks = Pem::iter_from_buffer(text.as_bytes()).filter_map(Result::ok);
    let hashes = blocks.map(|pem| HEXLOWER.encode(digest(&SHA256, &pem.contents).as_ref()));
    hashes.filter_map(|hash| Fingerprint::try_from(hash).ok()).collect()
}

/// Which of these authorities (PEM) signed the certificate.
pub fn signer_among(authorities: &str, certificate: &str) -> Option<Fingerprint> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let is_signer = |authority: &Pem| {
        let Ok(authority) = authority.parse_x509() else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &authority.public_key().subject_public_key.data);
        let signed: &[u8] = certificate.tbs_certificate.as_ref();
        key.verify(signed, &certificate.signature_value.data).is_ok()
    };
    let mut blocks = Pem::iter_from_buffer(authorities.as_bytes()).filter_map(Result::ok);
    let signer = blocks.find(is_signer)?;
    Fingerprint::try_from(HEXLOWER.encode(digest(&SHA256, &signer.contents).as_ref())).ok()
}

/// The certificate before the one that there is. An OpenVPN that was not started since goes on to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedCertificate {
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The authority that signed it, if that was one of those of the fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Fingerprint>,
    /// When the other one took its place, by the clock of the node.
    pub at: DateTime<Utc>,
}

/// The authorities before those that there are. An OpenVPN that was not started since goes by them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedAuthorities {
    /// They.
    pub trusted: Vec<Fingerprint>,
    /// When the others took their place.
    pub at: DateTime<Utc>,
}

/// What OpenVPN reads when it starts, and what was there before.
#[derive(Debug, Clone)]
pub struct Material<'a> {
    /// The certificate, PEM.
    pub certificate: &'a str,
    /// The fleet's authorities, PEM.
    pub authorities: &'a str,
    /// The certificate before it.
    pub replaced: Option<ReplacedCertificate>,
    /// The authorities before them.
    pub replaced_authorities: Option<ReplacedAuthorities>,
}

/// What is known of it. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
struct State {
    expires_at: Option<DateTime<Utc>>,
    signed_by: Option<Fingerprint>,
    trusted: Vec<Fingerprint>,
    replaced: Option<ReplacedCertificate>,
    replaced_authorities: Option<ReplacedAuthorities>,
}

impl ServerCertificate {
    /// Of what the node has.
    pub fn new(material: Material<'_>) -> Self {
        Self {
            state: watch::Sender::new(State::of(material)),
        }
    }

    /// The node has something else.
    pub fn replace(&self, material: Material<'_>) {
        self.state.send_replace(State::of(material));
    }

    /// When the one ends that an OpenVPN uses which has served since then. `None`: none serves, or it is not known since when: the next start counts.
    pub fn in_use_until(&self, serving_since: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let state = self.state.borrow();
        let before = state
            .replaced
            .as_ref()
            .filter(|replaced| is_from_before(serving_since, replaced.at));
        before.map(|replaced| replaced.expires_at).or(state.expires_at)
    }

    /// What an OpenVPN goes by which has served since then.
    pub fn running(&self, serving_since: Option<DateTime<Utc>>) -> RunningServer {
        let state = self.state.borrow();
        let before = state
            .replaced
            .as_ref()
            .filter(|replaced| is_from_before(serving_since, replaced.at));
        let trusted_before = state
            .replaced_authorities
            .as_ref()
            .filter(|replaced| is_from_before(serving_since, replaced.at));
        RunningServer {
            trusted: trusted_before.map_or_else(|| state.trusted.clone(), |replaced| replaced.trusted.clone()),
            signed_by: before.map_or_else(|| state.signed_by.clone(), |replaced| replaced.signed_by.clone()),
        }
    }
}

/// Whether an OpenVPN that has served since then may have read what was replaced at that moment.
fn is_from_before(serving_since: Option<DateTime<Utc>>, replaced_at: DateTime<Utc>) -> bool {
    serving_since.is_some_and(|since| since < replaced_at + STARTS_WITHIN)
}

impl State {
    fn of(material: Material<'_>) -> Self {
        Self {
            expires_at: Validity::of_pem(material.certificate).map(|validity| validity.not_after),
            signed_by: signer_among(material.authorities, material.certificate),
            trusted: fingerprints(material.authorities),
            replaced: material.replaced,
            replaced_authorities: material.replaced_authorities,
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(years: i32) -> String {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2027, 1, 1);
        params.not_after = date_time_ymd(2027 + years, 1, 1);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_missed_when_three_quarters_of_its_life_are_over() {
        assert_eq!(due_at(&certificate(4)), Some(at("2029-12-31T18:00:00Z")));
        assert_eq!(due_at("no certificate"), None);
    }

    #[test]
    fn an_openvpn_uses_what_was_there_when_it_started() {
        let (ca, other) = (certificate(20), certificate(25));
        let bundle = format!("{ca}{other}");
        let (one, two) = (certificate(1), certificate(2));
        let material = |certificate, authorities| Material {
            certificate,
            authorities,
            replaced: None,
            replaced_authorities: None,
        };
        let held = ServerCertificate::new(material(&one, &ca));
        let first = Some(at("2028-01-01T00:00:00Z"));
        assert_eq!(held.in_use_until(None), first);

        let moment = at("2027-09-01T12:00:00Z");
        held.replace(Material {
            replaced: Some(ReplacedCertificate {
                expires_at: at("2028-01-01T00:00:00Z"),
                signed_by: None,
                at: moment,
            }),
            replaced_authorities: Some(ReplacedAuthorities {
                trusted: fingerprints(&ca),
                at: moment,
            }),
            ..material(&two, &bundle)
        });
        for (since, end) in [
            (Some("2027-03-01T00:00:00Z"), "2028-01-01T00:00:00Z"),
            // It may have read the file a moment before.
            (Some("2027-09-01T12:00:05Z"), "2028-01-01T00:00:00Z"),
            (Some("2027-09-02T00:00:00Z"), "2029-01-01T00:00:00Z"),
            (None, "2029-01-01T00:00:00Z"),
        ] {
            assert_eq!(held.in_use_until(since.map(at)), Some(at(end)), "{since:?}");
            let trusted = held.running(since.map(at)).trusted;
            let is_new = end.starts_with("2029");
            assert_eq!(trusted, fingerprints(if is_new { &bundle } else { &ca }), "{since:?}");
        }
    }
}
