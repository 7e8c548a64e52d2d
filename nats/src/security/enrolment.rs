//! A node signs its request to enrol with its bus key. Whoever sees a used join token, or a node's public key, cannot enrol with them:
//! the signature proves the key, and it covers what the node wants to be.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use nkeys::KeyPair;

use super::keys::NodePublicKey;
use crate::{
    commands::{Host, Protocol},
    ids::NodeId,
};

/// How far the time of a request may be from management's clock.
pub const ENROLLED_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// What a node signs when it enrols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentClaim {
    /// The node.
    pub node: NodeId,
    /// The key that signs the request.
    pub key: NodePublicKey,
    /// SHA-256 of the certificate request, exactly as it is sent.
    pub csr: Sha256,
    /// What clients dial; `None`: the address that the request comes from.
    pub host: Option<Host>,
    /// The port that clients dial.
    pub port: u16,
    /// The transport of its tunnels.
    pub protocol: Protocol,
    /// Its pool, which has the form of a node's id.
    pub pool: NodeId,
    /// The most clients that it accepts.
    pub capacity: Option<u32>,
    /// SHA-256 of the join token; `None`: the request presents an API key.
    pub join_token: Option<Sha256>,
    /// When it is sent, by the node's clock. What is signed has whole microseconds.
    pub at: DateTime<Utc>,
}

/// A SHA-256 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The hash of this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }

    /// In lower-case hex.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl EnrolmentClaim {
    /// The node's signature, Ed25519.
    ///
    /// # Errors
    /// The key pair has no seed.
    pub fn sign(&self, key: &KeyPair) -> Result<Vec<u8>, nkeys::error::Error> {
        key.sign(self.text().as_bytes())
    }

    /// Whether the holder of [`Self::key`] signed this. It costs the same for every request, and needs nothing but the request.
    #[must_use]
    pub fn is_signed(&self, signature: &[u8]) -> bool {
        self.key.has_signed(&self.text(), signature)
    }

    /// What is signed: a line for each part, `-` for a part that is absent. No part can hold a line feed, and none that may be absent can
    /// be `-`, so no two requests have the same text. The first line keeps it apart from every other text that the key signs.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from("vpnmanager enrolment\n");
        let absent = || "-".to_owned();
        let lines = [
            self.node.to_string(),
            self.key.to_string(),
            self.csr.hex(),
            self.host.as_ref().map_or_else(absent, ToString::to_string),
            self.port.to_string(),
            self.protocol.to_string(),
            self.pool.to_string(),
            self.capacity.map_or_else(absent, |capacity| capacity.to_string()),
            self.join_token.as_ref().map_or_else(absent, Sha256::hex),
            self.at.trunc_subsecs(6).to_rfc3339_opts(SecondsFormat::Micros, true),
        ];
        for line in lines {
            // Writing to a String cannot fail.
            let _infallible = writeln!(text, "{line}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Alter = fn(&mut EnrolmentClaim);

    fn claim(key: &KeyPair) -> EnrolmentClaim {
        EnrolmentClaim {
            node: "n1".parse().unwrap(),
            key: NodePublicKey::of(key).unwrap(),
            csr: Sha256::of("a request"),
            host: Some("vpn1.example.org".parse().unwrap()),
            port: 1194,
            protocol: Protocol::Udp,
            pool: "default".parse().unwrap(),
            capacity: Some(1000),
            join_token: Some(Sha256::of("a token")),
            at: "2027-03-01T12:00:00.000001Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_signature_covers_each_part_and_proves_the_key() {
        let (key, other) = (KeyPair::new_user(), KeyPair::new_user());
        let honest = claim(&key);
        let signature = honest.sign(&key).unwrap();

        assert!(honest.is_signed(&signature));
        let altered: [(&str, Alter); 12] = [
            ("node", |claim| claim.node = "n2".parse().unwrap()),
            ("key", |claim| {
                claim.key = NodePublicKey::of(&KeyPair::new_user()).unwrap()
            }),
            ("csr", |claim| claim.csr = Sha256::of("another request")),
            ("host", |claim| claim.host = Some("evil.example".parse().unwrap())),
            ("no host", |claim| claim.host = None),
            ("port", |claim| claim.port = 1195),
            ("protocol", |claim| claim.protocol = Protocol::Tcp),
            ("pool", |claim| claim.pool = "other".parse().unwrap()),
            ("capacity", |claim| claim.capacity = None),
            ("token", |claim| claim.join_token = Some(Sha256::of("another token"))),
            ("no token", |claim| claim.join_token = None),
            ("at", |claim| claim.at += TimeDelta::microseconds(1)),
        ];
        for (what, alter) in altered {
            let mut claim = honest.clone();
            alter(&mut claim);
            assert!(!claim.is_signed(&signature), "{what}");
        }
        assert!(!honest.is_signed(&honest.sign(&other).unwrap()));
        assert!(!honest.is_signed(b"noise") && !honest.is_signed(b""));
    }

    #[test]
    fn the_signed_text_is_as_the_description_of_the_api_says() {
        let key = KeyPair::from_public_key("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4").unwrap();
        let claim = EnrolmentClaim {
            host: None,
            capacity: None,
            ..claim(&key)
        };
        assert_eq!(
            claim.text(),
            "vpnmanager enrolment\n\
             n1\n\
             UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4\n\
             af0bf2a562dabe2a81e0b0b47a33a515b5e8495c72fff218af4c15f3f066fa44\n\
             -\n\
             1194\n\
             udp\n\
             default\n\
             -\n\
             e3316e2bafebb6103a3418e8778c0adc960d40213a03a7e7f4fcd3426ed807bf\n\
             2027-03-01T12:00:00.000001Z\n"
        );
    }
}
