//! What becomes of one entry of a source.

use serde::{Deserialize, Serialize};

/// What became of an entry, or would become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A user was created.
    Created,
    /// A user who was there has one more certificate of an old server.
    Joined,
    /// The source says something else of the certificates of a user than it did when it was imported before.
    Changed,
    /// All is as the source says.
    Unchanged,
    /// It contradicts what is there, or another entry of the source; nothing was done.
    Conflict,
    /// Nothing was done, as a policy says.
    Skipped,
}

impl Outcome {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::Created,
        Self::Joined,
        Self::Changed,
        Self::Unchanged,
        Self::Conflict,
        Self::Skipped,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Joined => "joined",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Conflict => "conflict",
            Self::Skipped => "skipped",
        }
    }
}
