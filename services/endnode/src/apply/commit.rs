//! The journal's part of a batch: plan each command against what is held, and store it.

use std::path::Path;

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    acks::{Issued, Outcome},
    commands::{Command, Issue},
    ids::{CommonName, Revision, UserKey},
};

use crate::{
    journal::{JournalError, Records},
    plan::{Access, Change, Held, Plan, ProfileStage, issue_of, plan},
    profile_file::profile_path,
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
    /// Access was changed; its profile has to be made before it can be answered.
    Issuing(IssueOrder),
}

/// A profile to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueOrder {
    /// The user.
    pub user_key: UserKey,
    /// The revision of the command that wants it.
    pub revision: Revision,
    /// What to make.
    pub issue: Issue,
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
        Plan::Repeat { access, outcome, issue } => Ok(Stored {
            handled: Handled {
                applied: answer(command, issue, outcome.unwrap_or(APPLIED)),
                changed: false,
            },
            access,
            forget: Vec::new(),
        }),
        Plan::Change(Change { access, forget, issue }) => {
            let (issue, lost) = match history {
                History::Recorded if held.is_none() => (None, issue),
                History::Recorded | History::Open => (issue, None),
            };
            let outcome = match &lost {
                Some(_) => Outcome::Applied {
                    issued: None,
                    note: Some(LOST.to_owned()),
                },
                None => outcome_of(held.as_ref(), command, profiles),
            };
            records.store_command(command, issue.is_none().then_some(&outcome), now)?;
            records.forget_credentials(&forget)?;
            if let Some(lost) = &lost {
                records.lose_credential(&lost.common_name)?;
            }
            let handled = Handled {
                applied: answer(command, issue, outcome),
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

/// Applied, with nothing to add.
pub(super) const APPLIED: Outcome = Outcome::Applied {
    issued: None,
    note: None,
};

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

fn answer(command: &Command, issue: Option<Issue>, outcome: Outcome) -> Applied {
    match issue {
        Some(issue) => Applied::Issuing(IssueOrder {
            user_key: command.user_key(),
            revision: command.revision(),
            issue,
        }),
        None => Applied::Answered(outcome),
    }
}

/// The answer to a command whose profile, if it wants one, was made before or can never be made.
fn outcome_of(held: Option<&Held>, command: &Command, profiles: &Path) -> Outcome {
    let removed = held.is_some_and(|held| held.removed_by.is_some()) && matches!(command, Command::PutUser(_));
    let note = removed.then(|| "deleted on the node itself; management has not carried that out yet".to_owned());
    let made = issue_of(command).and_then(|issue| {
        let mut credentials = held.iter().flat_map(|held| &held.credentials);
        credentials.find(|credential| credential.common_name == issue.common_name)
    });
    match made {
        None => Outcome::Applied { issued: None, note },
        Some(credential) => match &credential.stage {
            ProfileStage::Complete { checksum, .. } => Outcome::Applied {
                issued: Some(issued(&credential.common_name, profiles, checksum)),
                note,
            },
            ProfileStage::Lost => Outcome::Applied {
                issued: None,
                note: Some(LOST.to_owned()),
            },
            ProfileStage::Listed | ProfileStage::Keyed => Outcome::Applied { issued: None, note },
        },
    }
}

/// What an operator should know about a credential that has no profile here and never will.
pub(super) const LOST: &str = "the credential is let in, but its profile cannot be made here: another key has its certificate, \
     or management does not certify it any more. The user needs another one (POST /api/users/{username}/reissue of management)";

/// The profile that this node holds.
pub(super) fn issued(name: &CommonName, profiles: &Path, checksum: &str) -> Issued {
    Issued {
        common_name: name.clone(),
        profile_path: profile_path(profiles, name).display().to_string(),
        profile_checksum: checksum.to_owned(),
    }
}
