//! The answer.

use poem_openapi::{Object, types::Example};

/// What the list changed.
#[derive(Debug, Object)]
#[oai(example)]
pub(super) struct Synced {
    /// Users whose state on the node changed, removed ones included.
    pub(super) changed: Vec<String>,
    /// Number of users whose state was already as listed.
    pub(super) unchanged: u64,
    /// Users that were refused, and why.
    pub(super) refused: Vec<RefusedUser>,
}

/// A user that was refused.
#[derive(Debug, Object)]
pub(super) struct RefusedUser {
    /// The name as it was given.
    pub(super) username: String,
    /// Why.
    pub(super) reason: String,
}

impl Example for Synced {
    fn example() -> Self {
        let refused = RefusedUser {
            username: "bob".to_owned(),
            reason: "the node holds the newer revision 7".to_owned(),
        };
        Self {
            changed: vec!["alice".to_owned()],
            unchanged: 0,
            refused: vec![refused],
        }
    }
}
