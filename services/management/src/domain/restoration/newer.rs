//! What the fleet was told of a user after the backup was made.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    holdings::HeldAccess,
    ids::{CommonName, NodeId, Revision},
    old_certificates::{OldCertificate, SerialNumber},
};

use super::{
    filed::{Filed, FiledOld},
    sightings::Sightings,
};
use crate::domain::{end_of_access::ends_earlier, import::certificates::MOST_REVOKED};

/// What the fleet was told of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// The newest revision.
    pub revision: Revision,
    /// Has access according to the file, and was suspended, or got over the quota.
    pub suspended: bool,
    /// Access ends at this time, which is earlier than the file says.
    pub ends: Option<DateTime<Utc>>,
    /// Credentials of the file that were revoked.
    pub revoked: Vec<CommonName>,
    /// Credentials that the file does not have: profiles that were made since.
    pub unknown: Vec<CommonName>,
    /// Certificates of old servers that are not accepted any more, or not as long or as widely as the file says.
    pub old_ended: Vec<EndedOld>,
    /// Certificates of old servers that the file does not have, with their nodes: they were imported since.
    pub old_unknown: Vec<(NodeId, CommonName)>,
    /// Has no access according to the file, or for a shorter time, and was given more.
    pub given: bool,
    /// A node had no room for all that it holds: what of it was revoked since is not known.
    pub in_part: bool,
}

/// A certificate of an old server of which less is accepted than the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOld {
    /// The node that accepted it.
    pub node: NodeId,
    /// Its common name.
    pub common_name: CommonName,
    /// Revoked. Then the rest says nothing.
    pub revoked: bool,
    /// It ends at this time, which is earlier than the file says.
    pub ends: Option<DateTime<Utc>>,
    /// Serial numbers of that name that were revoked.
    pub serials: Vec<SerialNumber>,
}

impl EndedOld {
    fn of(filed: &FiledOld) -> Self {
        Self {
            node: filed.node.clone(),
            common_name: filed.common_name.clone(),
            revoked: false,
            ends: None,
            serials: Vec::new(),
        }
    }

    fn revoked(filed: &FiledOld) -> Self {
        Self {
            revoked: true,
            ..Self::of(filed)
        }
    }
}

impl Newer {
    /// Whether less is accepted than the file says.
    #[must_use]
    pub fn ends_access(&self) -> bool {
        self.suspended || self.ends.is_some() || !self.revoked.is_empty() || !self.old_ended.is_empty()
    }

    /// Nothing but a newer revision.
    pub(super) fn revision_only(revision: Revision) -> Self {
        Self {
            revision,
            suspended: false,
            ends: None,
            revoked: Vec::new(),
            unknown: Vec::new(),
            old_ended: Vec::new(),
            old_unknown: Vec::new(),
            given: false,
            in_part: false,
        }
    }
}

/// Compares the file with what somebody holds of a user at a newer revision; certificates of old servers with what each of their nodes holds.
pub(super) fn compare(filed: &Filed, revision: Revision, told: &HeldAccess, sightings: &Sightings) -> Newer {
    let without = |names: &[CommonName], others: &[CommonName]| -> Vec<CommonName> {
        names.iter().filter(|name| !others.contains(name)).cloned().collect()
    };
    let mut newer = Newer {
        suspended: filed.active && !told.active,
        ends: told
            .expires_at
            .filter(|_| ends_earlier(filed.expires_at, told.expires_at)),
        unknown: without(&told.credentials, &filed.credentials),
        given: (!filed.active && told.active) || ends_earlier(told.expires_at, filed.expires_at),
        in_part: told.cut,
        ..Newer::revision_only(revision)
    };
    // Of one that is missing in a list that was cut nobody knows.
    if !told.cut {
        newer.revoked = without(&filed.credentials, &told.credentials);
    }
    add_old(&mut newer, filed, sightings);
    newer
}

fn add_old(newer: &mut Newer, filed: &Filed, sightings: &Sightings) {
    let mut told_of: HashSet<NodeId> = HashSet::new();
    for said in sightings.newest_of_each(filed.key) {
        told_of.insert(said.node.clone());
        let of_node = filed.old_certificates.iter().filter(|old| old.node == *said.node);
        let Some(access) = said.access else {
            newer.old_ended.extend(of_node.map(EndedOld::revoked));
            continue;
        };
        newer.in_part |= access.cut;
        for old in of_node {
            let mut told = access.old_certificates.iter();
            match told.find(|told| told.common_name == old.common_name) {
                Some(told) => {
                    newer.given |= ends_earlier(told.expires_at, old.expires_at);
                    newer.old_ended.extend(less(old, told));
                }
                None if access.cut => {}
                None => newer.old_ended.push(EndedOld::revoked(old)),
            }
        }
        let is_filed = |name: &CommonName| {
            let mut filed = filed.old_certificates.iter();
            filed.any(|old| old.node == *said.node && old.common_name == *name)
        };
        let unknown = access.old_certificates.iter().map(|told| &told.common_name);
        let unknown = unknown.filter(|name| !is_filed(name));
        newer
            .old_unknown
            .extend(unknown.map(|name| (said.node.clone(), name.clone())));
    }
    // Nodes that were looked at, and hold nothing of the user any more.
    let gone = filed.expected.iter();
    let gone = gone.filter(|expected| !told_of.contains(&expected.node) && sightings.lacks(filed.key, expected));
    for expected in gone {
        let of_node = filed.old_certificates.iter().filter(|old| old.node == expected.node);
        newer.old_ended.extend(of_node.map(EndedOld::revoked));
    }
}

/// What of a certificate is accepted for a shorter time, or with fewer serial numbers.
fn less(filed: &FiledOld, told: &OldCertificate) -> Option<EndedOld> {
    let mut serials: Vec<SerialNumber> = told.revoked.clone();
    serials.sort();
    serials.dedup();
    serials.retain(|serial| !filed.revoked.contains(serial));
    // More than the database holds of one name: an import revokes the name then, too.
    if filed.revoked.len() + serials.len() > MOST_REVOKED {
        return Some(EndedOld::revoked(filed));
    }
    let ends = told
        .expires_at
        .filter(|_| ends_earlier(filed.expires_at, told.expires_at));
    (ends.is_some() || !serials.is_empty()).then(|| EndedOld {
        ends,
        serials,
        ..EndedOld::of(filed)
    })
}
