//! What the answers about lists have in common.

use poem_openapi::Object;
use vpnmanager_nats::bounded::shortened;
use vpnmanager_openapi::problem::ApiError;

use super::run::ItemResult;
use crate::ops::users::operation::Outcome;

/// The longest name that is repeated to the caller, in characters.
const LONGEST_NAME: usize = 100;

/// Why an entry was not done: what the operation for one user would have answered.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, rename = "BulkError")]
pub(super) struct Refusal {
    /// The status in words.
    title: String,
    /// What happened, for people.
    detail: String,
    /// The value that is wrong, if that is the reason.
    field: Option<String>,
}

/// How many entries were done in which way; a part of the answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Object)]
#[oai(rename = "BulkCounts")]
pub(super) struct Counts {
    /// Users that were created.
    pub(super) created: u32,
    /// Users that were changed.
    pub(super) changed: u32,
    /// Users of whom devices get new profiles.
    pub(super) reissued: u32,
    /// Users that were removed.
    pub(super) removed: u32,
    /// Entries whose user was as wanted already.
    pub(super) unchanged: u32,
    /// Entries that were not done.
    pub(super) failed: u32,
}

impl Refusal {
    /// With its HTTP status.
    pub(super) fn of(error: &ApiError) -> (u16, Self) {
        let problem = error.problem();
        let first = problem.errors.first();
        let refusal = Self {
            title: problem.title.clone(),
            detail: match first {
                Some(wrong) => wrong.detail.clone(),
                None => problem.detail.clone().unwrap_or_default(),
            },
            field: first.map(|wrong| wrong.field.clone()),
        };
        (problem.status, refusal)
    }

    /// For the examples of the description.
    pub(super) fn example() -> (u16, Self) {
        Self::of(&ApiError::conflict("username", "is taken"))
    }
}

impl Counts {
    pub(super) fn of(results: &[ItemResult]) -> Self {
        let mut counts = Self::default();
        for result in results {
            let count = match result {
                Ok(Outcome::Created) => &mut counts.created,
                Ok(Outcome::Changed) => &mut counts.changed,
                Ok(Outcome::Reissued) => &mut counts.reissued,
                Ok(Outcome::Removed) => &mut counts.removed,
                Ok(Outcome::Unchanged) => &mut counts.unchanged,
                Err(_) => &mut counts.failed,
            };
            *count += 1;
        }
        counts
    }
}

/// A name of the caller's as it is repeated: whole, if it can be one.
pub(super) fn repeated(username: &str) -> String {
    shortened(username, LONGEST_NAME)
}
