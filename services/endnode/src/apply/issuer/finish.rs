//! The journal's part of an order: what was made of it, and the answer to its command.

use std::path::Path;

use secrecy::SecretString;
use tracing::warn;
use vpnmanager_nats::{
    acks::Outcome,
    ids::{CommonName, Revision},
    sign::SignRefusal,
};

use super::{
    result::{IssueError, IssueResult},
    work::{Item, State, Work},
};
use crate::{
    apply::outcome::outcome_of,
    journal::{JournalError, Records},
    plan::{Held, issue_of, missing},
};

/// Stores what was made of an order, and answers its command when nothing is left that could be made later. What is new is added to `files`.
pub(super) fn finish(
    records: &Records<'_>,
    profiles: &Path,
    work: Work,
    files: &mut Vec<(CommonName, SecretString)>,
) -> Result<IssueResult, JournalError> {
    let Work { order, items } = work;
    let held = match records.user(order.user_key)? {
        Some(held) if held.command.revision() == order.revision => held,
        // The newer command has an order of its own.
        Some(newer) => return Ok(superseded(newer.command.revision())),
        None => return Ok(superseded(order.revision)),
    };
    let open = issue_of(&held.command).map(|issue| missing(&held.credentials, issue));
    let open = open.map(|open| open.common_names).unwrap_or_default();
    let (mut refused, mut later) = (None, None);
    // What another order of this command has made meanwhile stays: its checksum may have been told.
    for Item { common_name, state } in items.into_iter().filter(|item| open.contains(&item.common_name)) {
        match state {
            State::Rendered(profile) => {
                if records.store_profile(&profile)? {
                    files.push((profile.common_name, profile.text));
                }
            }
            State::Lost(SignRefusal::InvalidCsr) => {
                records.drop_key(&common_name)?;
                refused = Some(SignRefusal::InvalidCsr);
            }
            State::Lost(refusal @ (SignRefusal::Unknown | SignRefusal::Revoked | SignRefusal::AlreadyIssued)) => {
                warn!(credential.common_name = %common_name, reason = %refusal, "A profile can never be made here");
                records.lose_credential(&common_name)?;
            }
            State::Later(error) => later = Some(error),
            // The credential was gone and is back, or nobody answered about it.
            State::Gone | State::Keyed(_) | State::Certified(..) => {
                later.get_or_insert(IssueError::Unavailable);
            }
        }
    }
    if let Some(error) = later {
        return Ok(IssueResult::Later(error));
    }
    let outcome = match refused {
        Some(refusal) => Outcome::Refused {
            error: refusal.to_string(),
        },
        None => {
            let held = Held {
                credentials: records.credentials_of(order.user_key)?,
                ..held
            };
            outcome_of(Some(&held), &held.command, profiles)
        }
    };
    Ok(
        match records.finish_command(order.user_key, order.revision, &outcome)? {
            Some(holds) => superseded(holds),
            None => IssueResult::Answered(outcome),
        },
    )
}

fn superseded(holds: Revision) -> IssueResult {
    IssueResult::Answered(Outcome::Superseded { holds })
}

#[cfg(test)]
mod tests;
