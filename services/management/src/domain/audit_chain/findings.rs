//! What is wrong with a trail.

use std::fmt;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An entry says something else than when it was recorded.
    Changed,
    /// Entries are gone.
    Removed,
    /// An entry was put in that the chain does not have.
    Inserted,
    /// An entry is at another place than it was.
    Reordered,
    /// An entry is another one than its successor followed, with a hash that was made for it.
    Replaced,
    /// The entries fit together, and are others than management signed.
    Rewritten,
    /// A checkpoint is gone, or is not what management signed.
    Checkpoint,
    /// A line is no entry.
    Unreadable,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Replaced => "replaced",
            Self::Rewritten => "rewritten",
            Self::Checkpoint => "checkpoint",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What was done.
    pub kind: Kind,
    /// The entry: the one concerned, or the first that is there after what is gone.
    pub id: Option<i64>,
    /// For people.
    pub detail: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, id: Option<i64>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            id,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.detail)
    }
}
