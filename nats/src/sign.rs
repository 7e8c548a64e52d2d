//! Signing, `vpn.sign.<node>`: a node asks for certificates of credentials that are homed on it. Repeating a request returns the same certificates.

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
}

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
