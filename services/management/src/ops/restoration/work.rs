//! What a decision asks for of each user.

use chrono::{DateTime, Utc};
use vpnmanager_nats::ids::{CommonName, Revision};

use super::assess::Judged;
use crate::domain::restoration::{
    Fate,
    newer::{EndedOld, Newer},
};

/// What holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What ended since stays ended: removals, suspensions, earlier ends, revocations. Who was moved by the word of a node alone is suspended.
    Fleet,
    /// The same, but nodes are believed whom they got.
    FleetAndMoves,
    /// All is as the file says.
    File,
}

impl Keep {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fleet | Self::FleetAndMoves => "fleet",
            Self::File => "file",
        }
    }

    /// Whether what ended since stays ended.
    #[must_use]
    pub fn is_fleet(self) -> bool {
        match self {
            Self::Fleet | Self::FleetAndMoves => true,
            Self::File => false,
        }
    }
}

/// What the row of a user becomes.
pub(super) struct Change {
    pub(super) id: i64,
    pub(super) holds: Revision,
    pub(super) suspend: bool,
    pub(super) ends: Option<DateTime<Utc>>,
}

impl Change {
    /// Only the revision is raised.
    fn raise(judged: &Judged, holds: Revision) -> Self {
        Self {
            id: judged.id,
            holds,
            suspend: false,
            ends: None,
        }
    }
}

/// What ends of the access of a user.
pub(super) struct Ended<'a> {
    pub(super) change: Change,
    /// Credentials that are not accepted any more.
    pub(super) revoked: &'a [CommonName],
    /// Certificates of old servers of which less is accepted.
    pub(super) old: &'a [EndedOld],
    /// Whether profiles were made since: a device that is left without any gets a new one.
    pub(super) renewed: bool,
}

/// What is to be done.
#[derive(Default)]
pub(super) struct Work<'a> {
    /// The fleet knows a newer revision.
    pub(super) raised: Vec<Change>,
    /// Less is accepted than the file says.
    pub(super) ended: Vec<Ended<'a>>,
    /// Users who were removed. Their revision is raised first.
    pub(super) removed: Vec<Change>,
    /// How many of those whose access ends are only suspended because nobody knows more.
    pub(super) suspended: usize,
}

impl<'a> Work<'a> {
    pub(super) fn of(keep: Keep, judged: &'a [Judged]) -> Self {
        let mut work = Self::default();
        for one in judged {
            match &one.fate {
                Fate::Same => {}
                Fate::Newer(newer) => work.follow(keep, one, newer),
                Fate::Moved { newer, .. } if keep == Keep::Fleet => work.remove(one, Some(newer.revision), false),
                Fate::Moved { newer, .. } => work.follow(keep, one, newer),
                Fate::Removed { revision, is_certain } if keep.is_fleet() => work.remove(one, *revision, *is_certain),
                Fate::Removed { revision, .. } => {
                    work.raised
                        .extend(revision.map(|revision| Change::raise(one, revision)));
                }
            }
        }
        work
    }

    fn follow(&mut self, keep: Keep, one: &Judged, newer: &'a Newer) {
        if keep.is_fleet() && newer.ends_access() {
            self.end(one, newer);
        } else {
            self.raised.push(Change::raise(one, newer.revision));
        }
    }

    fn end(&mut self, one: &Judged, newer: &'a Newer) {
        let change = Change {
            id: one.id,
            holds: newer.revision,
            suspend: newer.suspended,
            ends: newer.ends,
        };
        self.ended.push(Ended {
            change,
            revoked: &newer.revoked,
            old: &newer.old_ended,
            renewed: !newer.unknown.is_empty(),
        });
    }

    fn remove(&mut self, one: &Judged, revision: Option<Revision>, is_certain: bool) {
        let change = Change::raise(one, revision.unwrap_or(one.filed.revision));
        if is_certain {
            self.removed.push(change);
            return;
        }
        self.suspended += 1;
        let change = Change {
            suspend: true,
            ..change
        };
        self.ended.push(Ended {
            change,
            revoked: &[],
            old: &[],
            renewed: false,
        });
    }
}
