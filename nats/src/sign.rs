//! Signing, `vpn.sign.<node>`: a node asks for certificates of credentials that are homed on it, and for that of its own OpenVPN server. Repeating a
//! request returns the same certificates.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::{ENTRY, List, Text},
    ids::{CommonName, NodeId},
    times,
};

/// The most requests in one message: 64 fit the bound of [`crate::payload`] with room to spare.
pub const MAX_REQUESTS: usize = 64;

/// A batch of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sign")]
pub struct SignRequest {
    /// The node that asks; equals the node in the subject.
    pub node: NodeId,
    /// At most [`MAX_REQUESTS`].
    #[serde(with = "List::<MAX_REQUESTS>")]
    pub requests: Vec<CertificateRequest>,
    /// The certificate of the node's own OpenVPN server is asked for too. An earlier release of management does not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerRequest>,
}

/// A request for the certificate of the OpenVPN server of the node that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRequest {
    /// PKCS #10 request, PEM (RFC 7468), for the key that the node was enrolled with.
    pub csr: String,
    /// What the OpenVPN goes by that runs there; `None` where the agent does not run it, and cannot know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningServer>,
}

/// What a running OpenVPN read when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningServer {
    /// SHA-256 of the authorities whose clients it accepts, lower-case hex.
    #[serde(with = "List::<MOST_AUTHORITIES>")]
    pub trusted: Vec<Fingerprint>,
    /// SHA-256 of the authority that signed its certificate, if that is one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Fingerprint>,
}

/// SHA-256 of a certificate (DER), 64 digits of lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(String);

/// The most authorities that a node tells of: two, while one takes the place of another, and some to spare.
pub const MOST_AUTHORITIES: usize = 4;

impl Fingerprint {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidFingerprint;

    fn try_from(text: String) -> Result<Self, InvalidFingerprint> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 64 && text.bytes().all(is_hex) {
            true => Ok(Self(text)),
            false => Err(InvalidFingerprint),
        }
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

/// The text is not that of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 digits of lower-case hex")]
pub struct InvalidFingerprint;

/// A request for one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// The credential. From the certificate request itself management uses only the public key.
    pub common_name: CommonName,
    /// PKCS #10 request, PEM (RFC 7468).
    pub csr: String,
}

/// The answer, in the order of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "signed")]
pub struct SignAnswer {
    /// One result for each request.
    pub results: Vec<SignResult>,
    /// The result of [`SignRequest::server`]; `None` where that was not asked for, and of an earlier release of management.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerResult>,
}

/// The result of a request for the certificate of a node's OpenVPN server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum ServerResult {
    /// The certificate, which may be the one that the node has.
    Signed {
        /// The certificate, PEM (RFC 7468).
        certificate: String,
        /// All authorities that are trusted, PEM: of clients by the node, and of nodes by the profiles that it makes. `None`: as at the enrolment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authorities: Option<String>,
    },
    /// Refused, until a person has done something.
    Refused {
        /// The rule that forbids it.
        reason: ServerRefusal,
    },
    /// Management cannot answer at the moment: the node asks again later.
    Unavailable,
}

/// Why the certificate of a node's OpenVPN server is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ServerRefusal {
    /// The request is for another key than the one that the node was enrolled with.
    #[error("the node was enrolled with another key")]
    OtherKey,
    /// The request's signature or key is wrong.
    #[error("the certificate request is invalid")]
    InvalidCsr,
}

/// The result of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum SignResult {
    /// The certificate.
    Signed(SignedCertificate),
    /// Refused for good: the node should not ask again.
    Refused {
        /// The credential.
        common_name: CommonName,
        /// The rule that forbids it.
        reason: SignRefusal,
    },
    /// Management cannot answer at the moment: the node asks again later.
    Unavailable {
        /// The credential.
        common_name: CommonName,
    },
}

/// A certificate of the fleet's CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCertificate {
    /// The credential.
    pub common_name: CommonName,
    /// The certificate, PEM (RFC 7468).
    pub certificate: String,
    /// Serial number, lower-case hex.
    #[serde(with = "Text::<ENTRY>")]
    pub serial: String,
    /// When it becomes valid; set back to allow for clock skew.
    #[serde(deserialize_with = "times::bounded")]
    pub not_before: DateTime<Utc>,
    /// When it expires.
    #[serde(deserialize_with = "times::bounded")]
    pub not_after: DateTime<Utc>,
}

/// Why a certificate is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SignRefusal {
    /// No such credential, or it is homed on another node.
    #[error("no credential of that name is homed on this node")]
    Unknown,
    /// It was revoked.
    #[error("the credential is revoked")]
    Revoked,
    /// It was signed for another key: the first key is lost, the profile that holds it stays valid.
    #[error("the credential was signed for another key")]
    AlreadyIssued,
    /// The request's signature or key is wrong.
    #[error("the certificate request is invalid")]
    InvalidCsr,
}
