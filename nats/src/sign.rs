//! Signing, `vpn.sign.<node>`: a node asks for certificates of credentials that are homed on it. Repeating a request returns the same certificates.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CommonName, NodeId};

/// The most requests in one message: 64 fit the payload bound of a node's bus credential with room to spare.
pub const MAX_REQUESTS: usize = 64;

/// A batch of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sign")]
pub struct SignRequest {
    /// Who asks; equals the subject's node.
    pub node: NodeId,
    /// At most [`MAX_REQUESTS`].
    pub requests: Vec<CertificateRequest>,
}

/// One certificate wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// The credential. Management takes nothing else but the public key from the request.
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

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum SignResult {
    /// The certificate.
    Signed(SignedCertificate),
    /// Never: the node should not ask again.
    Refused {
        /// The credential.
        common_name: CommonName,
        /// Which rule forbids it.
        reason: SignRefusal,
    },
    /// Not at this moment: ask again.
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
    pub serial: String,
    /// Start of validity, backdated against clock skew.
    pub not_before: DateTime<Utc>,
    /// End of validity.
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
