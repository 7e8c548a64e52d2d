//! What the database has of the names in a source.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    groups::GroupName,
    ids::{CommonName, NodeId},
    old_certificates::SerialNumber,
    username::Username,
};

use super::certificates::{MOST_REVOKED, NewCertificate};

/// What the database has of the names in a source.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// The living users of these names.
    pub users: HashMap<Username, HeldUser>,
    /// The newest certificates of these names, of the old server of the node.
    pub certificates: HashMap<CommonName, HeldCertificate>,
    /// Those of these names that credentials of the fleet have.
    pub credentials: HashSet<CommonName>,
}

/// A user who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUser {
    /// The id of the row.
    pub id: i64,
    /// The home.
    pub home: NodeId,
    /// The pool that the user is in.
    pub pool: String,
    /// The group in which nodes know the user.
    pub group: GroupName,
    /// Whether the user is neither suspended nor at the end of access.
    pub has_access: bool,
}

/// A certificate of an old server that was imported before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCertificate {
    /// The id of the row.
    pub id: i64,
    /// Its user; `None`: it is revoked, maybe with its user.
    pub owner: Option<Owner>,
    /// As in [`NewCertificate`].
    pub serial: SerialNumber,
    /// As in [`NewCertificate`].
    pub not_after: DateTime<Utc>,
    /// As in [`NewCertificate`].
    pub revoked: Vec<SerialNumber>,
}

/// The user of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The id of the row.
    pub id: i64,
    /// The name.
    pub username: Username,
    /// As of [`HeldUser`].
    pub has_access: bool,
}

/// A certificate of a source, beside what is there of it.
pub(super) enum Merged {
    /// It is as it is there.
    Same,
    /// It becomes this.
    Differs(NewCertificate),
    /// More serial numbers would be revoked than there may be.
    TooMany(CommonName),
}

/// What the source says now, with all that was revoked before: what is revoked stays so.
pub(super) fn merged(held: &HeldCertificate, certificate: NewCertificate) -> Merged {
    let mut revoked = certificate.revoked;
    revoked.extend(held.revoked.iter().cloned());
    revoked.sort();
    revoked.dedup();
    if revoked.len() > MOST_REVOKED {
        return Merged::TooMany(certificate.common_name);
    }
    let mut before = held.revoked.clone();
    before.sort();
    if (&held.serial, held.not_after, &before) == (&certificate.serial, certificate.not_after, &revoked) {
        return Merged::Same;
    }
    Merged::Differs(NewCertificate { revoked, ..certificate })
}
