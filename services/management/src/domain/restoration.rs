//! What the fleet was told since the backup was made that the database was restored from: the file is compared with what the bus and the nodes hold.
//!
//! The newest revision that is held of a user, by the stream or by one of her nodes, is what the fleet was last told. A user whom nodes held, and
//! whom nobody holds any more, was removed since. That is certain only where every place was looked at to which she may have moved.

pub mod filed;
pub mod newer;
pub mod sightings;

use vpnmanager_nats::ids::{NodeId, Revision};

use filed::Filed;
use newer::{Newer, compare};
use sightings::{Said, Sightings};

/// What became of a user of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The fleet knows nothing newer.
    Same,
    /// The fleet was told something newer.
    Newer(Newer),
    /// Not on her nodes any more. Another node says that it holds her, and nobody else says so: she was moved, or removed and that node lies.
    Moved {
        /// What that node holds.
        newer: Newer,
        /// The node.
        to: NodeId,
    },
    /// The user was removed.
    Removed {
        /// The newest revision that was found; `None`: nothing of the user is left.
        revision: Option<Revision>,
        /// `false`: the user may be somewhere.
        is_certain: bool,
    },
}

/// Judges a user of the file.
#[must_use]
pub fn judge(filed: &Filed, sightings: &Sightings) -> Fate {
    let key = filed.key;
    if let Some(revision) = sightings.unread(key) {
        return match filed.is_removed {
            true => Fate::Newer(Newer::revision_only(revision)),
            // It may be her end.
            false => Fate::Removed {
                revision: Some(revision),
                is_certain: false,
            },
        };
    }
    match sightings.newest(key) {
        Some(Said {
            revision,
            access: Some(access),
            ..
        }) => Fate::Newer(compare(filed, revision, access, sightings)),
        // It goes on with its removal, at a revision that nodes take.
        Some(Said { revision, .. }) if filed.is_removed => Fate::Newer(Newer::revision_only(revision)),
        Some(Said { revision, .. }) => gone(filed, Some(revision), sightings),
        None if filed.is_removed => Fate::Same,
        None if filed.expected.iter().any(|expected| sightings.lacks(key, expected)) => gone(filed, None, sightings),
        None => Fate::Same,
    }
}

/// Judges a user whom a node lacks, or had to remove at this revision, and of whom nothing newer is held where it counts.
fn gone(filed: &Filed, revision: Option<Revision>, sightings: &Sightings) -> Fate {
    let key = filed.key;
    if let Some(Said {
        node,
        revision: claimed,
        access: Some(access),
    }) = sightings.claim(key)
    {
        let to = node.clone();
        let newer = compare(
            filed,
            revision.map_or(claimed, |told| told.max(claimed)),
            access,
            sightings,
        );
        return Fate::Moved { newer, to };
    }
    let mut expected = filed.expected.iter();
    let is_gone = revision.is_some() || expected.any(|expected| sightings.surely_lacks(key, expected));
    // One of her nodes may not have heard of it yet, or has heard of something else.
    let is_certain = is_gone && sightings.is_whole() && !sightings.is_somewhere(key);
    Fate::Removed { revision, is_certain }
}

/// The node that says that it holds a user whom neither file nor stream places there, where nobody believes it.
#[must_use]
pub fn disbelieved<'a>(filed: &Filed, fate: &Fate, sightings: &'a Sightings) -> Option<&'a NodeId> {
    match fate {
        Fate::Moved { .. } => None,
        Fate::Same | Fate::Newer(_) | Fate::Removed { .. } => sightings.claim(filed.key).map(|said| said.node),
    }
}

#[cfg(test)]
mod tests;
