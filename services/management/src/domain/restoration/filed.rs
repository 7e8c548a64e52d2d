//! What the file says of a user.

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    ids::{CommonName, NodeId, Revision, UserKey},
    old_certificates::SerialNumber,
    username::Username,
};

/// A user of the file.
#[derive(Debug, Clone)]
pub struct Filed {
    /// The user on the bus.
    pub key: UserKey,
    /// The name.
    pub username: Username,
    /// The revision.
    pub revision: Revision,
    /// Neither suspended nor over the quota.
    pub active: bool,
    /// When access ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// Removed, while nodes still hold it.
    pub is_removed: bool,
    /// Credentials that are not revoked.
    pub credentials: Vec<CommonName>,
    /// Certificates of old servers that are not revoked.
    pub old_certificates: Vec<FiledOld>,
    /// Where the user must be found, unless it was moved or removed since.
    pub expected: Vec<Expected>,
}

/// A certificate of an old server.
#[derive(Debug, Clone)]
pub struct FiledOld {
    /// The node that accepts it.
    pub node: NodeId,
    /// Its common name.
    pub common_name: CommonName,
    /// Until when it is accepted.
    pub expires_at: Option<DateTime<Utc>>,
    /// Serial numbers of that name that stay revoked.
    pub revoked: Vec<SerialNumber>,
}

/// A node that should hold a user.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The node.
    pub node: NodeId,
    /// Whether the command for it was in the bus.
    pub published: bool,
    /// Whether it had applied it.
    pub applied: bool,
}
