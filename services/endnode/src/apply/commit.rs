//! The journal's part of a batch: plan each command against what is held, and store it.

use std::path::Path;

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    acks::Outcome,
    commands::Command,
    ids::{CommonName, Revision, UserKey},
};

use super::outcome::{APPLIED, outcome_of};
use crate::{
    journal::{JournalError, Records},
    plan::{Access, Change, MissingProfiles, Plan, plan},
};

/// One command that was handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// Its result.
    pub applied: Applied,
    /// Whether the journal changed.
    pub changed: bool,
}

impl Handled {
    /// Adds what an operator should know, where there is room for it.
    pub(super) fn note(&mut self, text: &str) {
        if let Applied::Answered(Outcome::Applied { note, .. }) = &mut self.applied {
            note.get_or_insert_with(|| text.to_owned());
        }
    }
}

/// The result of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It has its answer.
    Answered(Outcome),
    /// Access was changed; its profiles have to be made before it can be answered.
    Issuing(IssueOrder),
}

/// Profiles to make, all of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueOrder {
    /// The user.
    pub user_key: UserKey,
    /// The revision of the command that wants them.
    pub revision: Revision,
    /// What to make.
    pub missing: MissingProfiles,
}

/// One stored command, with what has to be projected.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) handled: Handled,
    pub(super) access: Access,
    pub(super) forget: Vec<CommonName>,
}

impl Stored {
    /// Refuses all of these credentials of the user that the command does not let in.
    pub(super) fn refuse(&mut self, names: impl Iterator<Item = CommonName>) {
        match self.handled.applied {
            // An older command says nothing of who is let in now.
            Applied::Answered(Outcome::Refused { .. } | Outcome::Superseded { .. }) => {}
            Applied::Answered(Outcome::Applied { .. } | Outcome::Failed { .. }) | Applied::Issuing(_) => {
                let allow = &self.access.allow;
                self.access.deny.extend(names.filter(|name| !allow.contains(name)));
            }
        }
    }
}

/// What management knows of a command that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// It waits for the ack.
    Open,
    /// It has recorded that this node applied it: with a journal that was lost, and the keys in it.
    Recorded,
}

/// Plans and stores one command.
pub(super) fn store(
    records: &Records<'_>,
    profiles: &Path,
    command: &Command,
    history: History,
    now: DateTime<Utc>,
) -> Result<Stored, JournalError> {
    let held = records.user(command.user_key())?;
    match plan(held.as_ref(), command, now) {
        Plan::Refuse { error } => Ok(unchanged(Outcome::Refused {
            error: error.to_owned(),
        })),
        Plan::Supersede { holds } => Ok(unchanged(Outcome::Superseded { holds })),
        Plan::Repeat {
            access,
            outcome,
            missing,
        } => Ok(Stored {
            handled: Handled {
                applied: answer(command, missing, outcome.unwrap_or(APPLIED)),
                changed: false,
            },
            access,
            forget: Vec::new(),
        }),
        Plan::Change(Change {
            access,
            forget,
            missing,
        }) => {
            let (missing, lost) = match history {
                History::Recorded if held.is_none() => (None, missing),
                History::Recorded | History::Open => (missing, None),
            };
            let outcome = outcome_of(held.as_ref(), command, profiles);
            let is_answered = missing.is_none() && lost.is_none();
            records.store_command(command, is_answered.then_some(&outcome), now)?;
            records.forget_credentials(&forget)?;
            let outcome = match lost {
                Some(lost) => lose(records, profiles, command, &lost.common_names)?,
                None => outcome,
            };
            let handled = Handled {
                applied: answer(command, missing, outcome),
                changed: true,
            };
            Ok(Stored {
                handled,
                access,
                forget,
            })
        }
    }
}

fn unchanged(outcome: Outcome) -> Stored {
    let handled = Handled {
        applied: Applied::Answered(outcome),
        changed: false,
    };
    Stored {
        handled,
        access: Access::default(),
        forget: Vec::new(),
    }
}

/// Answers a command whose keys are gone with the journal that held them: none of these profiles can be made again.
fn lose(
    records: &Records<'_>,
    profiles: &Path,
    command: &Command,
    lost: &[CommonName],
) -> Result<Outcome, JournalError> {
    for name in lost {
        records.lose_credential(name)?;
    }
    let held = records.user(command.user_key())?;
    let outcome = outcome_of(held.as_ref(), command, profiles);
    records.finish_command(command.user_key(), command.revision(), &outcome)?;
    Ok(outcome)
}

fn answer(command: &Command, missing: Option<MissingProfiles>, outcome: Outcome) -> Applied {
    match missing {
        Some(missing) => Applied::Issuing(IssueOrder {
            user_key: command.user_key(),
            revision: command.revision(),
            missing,
        }),
        None => Applied::Answered(outcome),
    }
}
