//! The journal's part of a batch: plan each command against what is held, and store it.

use std::path::Path;

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    acks::Outcome,
    bounded::TEXT,
    commands::Command,
    ids::{CommonName, Revision, UserKey},
};

use super::outcome::outcome_of;
use crate::{
    groups::{Hold, HoldingDraft},
    journal::{JournalError, Records},
    plan::{Access, Change, Held, MissingProfiles, Plan, plan},
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
        match &mut self.applied {
            Applied::Answered(outcome) => add_note(outcome, text),
            Applied::Issuing(order) => add(&mut order.note, text),
            Applied::Unheld(_) => {}
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
    /// It is journaled, and credentials that it lets in are refused, because this node cannot hold them to the rules of their group: why, and
    /// what to do. It has failed, and may fail for long. The node lets them in by itself once it can.
    Unheld(String),
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
    /// What an operator should know besides.
    pub note: Option<String>,
}

impl IssueOrder {
    /// The answer to the command, with that.
    pub fn noted(&self, mut outcome: Outcome) -> Outcome {
        if let Some(note) = &self.note {
            add_note(&mut outcome, note);
        }
        outcome
    }
}

/// One stored command, with what has to be projected.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) handled: Handled,
    pub(super) access: Access,
    /// Those that have another address than before.
    pub(super) moved: Vec<CommonName>,
    pub(super) forget: Vec<CommonName>,
}

impl Stored {
    /// Refuses all of these credentials of the user that the command does not let in.
    pub(super) fn refuse(&mut self, names: impl Iterator<Item = CommonName>) {
        match self.handled.applied {
            // An older command says nothing of who is let in now.
            Applied::Answered(Outcome::Refused { .. } | Outcome::Superseded { .. }) => {}
            Applied::Answered(Outcome::Applied { .. } | Outcome::Failed { .. })
            | Applied::Issuing(_)
            | Applied::Unheld(_) => {
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

/// What a batch of commands is stored with.
pub(super) struct Store<'batch> {
    pub(super) records: &'batch Records<'batch>,
    /// The folder of `.ovpn` files.
    pub(super) profiles: &'batch Path,
    /// What the commands change of who has which address.
    pub(super) holding: &'batch mut HoldingDraft,
    pub(super) history: History,
    pub(super) now: DateTime<Utc>,
}

impl Store<'_> {
    /// Plans and stores one command.
    pub(super) fn store(&mut self, command: &Command) -> Result<Stored, JournalError> {
        let held = self.records.user(command.user_key())?;
        match plan(held.as_ref(), command, self.now) {
            Plan::Refuse { error } => Ok(unchanged(Outcome::Refused {
                error: error.to_owned(),
            })),
            Plan::Supersede { holds } => Ok(unchanged(Outcome::Superseded { holds })),
            Plan::Repeat {
                access,
                outcome,
                missing,
            } => self.repeat(held.as_ref(), command, access, (outcome, missing)),
            Plan::Change(change) => self.change(held.as_ref(), command, change),
        }
    }

    /// Finds out anew whether all can be let in: room may have come, and rules may have gone.
    fn repeat(
        &mut self,
        held: Option<&Held>,
        command: &Command,
        mut access: Access,
        (outcome, missing): (Option<Outcome>, Option<MissingProfiles>),
    ) -> Result<Stored, JournalError> {
        let hold = self.hold(held, command);
        let reason = refuse(&mut access, &hold);
        self.write_places(&hold)?;
        let applied = match (reason, missing, outcome) {
            (Some(reason), _, _) => Applied::Unheld(reason),
            (None, Some(missing), _) => issuing(command, missing),
            (None, None, Some(outcome)) => Applied::Answered(outcome),
            // It had failed before, for that reason.
            (None, None, None) => {
                let outcome = outcome_of(held, command, self.profiles);
                self.records
                    .finish_command(command.user_key(), command.revision(), &outcome)?;
                Applied::Answered(outcome)
            }
        };
        Ok(Stored {
            handled: Handled {
                applied,
                changed: false,
            },
            access,
            moved: hold.moved,
            forget: Vec::new(),
        })
    }

    fn change(&mut self, held: Option<&Held>, command: &Command, change: Change) -> Result<Stored, JournalError> {
        let Change {
            mut access,
            forget,
            missing,
        } = change;
        let (missing, lost) = match self.history {
            History::Recorded if held.is_none() => (None, missing),
            History::Recorded | History::Open => (missing, None),
        };
        let hold = self.hold(held, command);
        let reason = refuse(&mut access, &hold);
        let outcome = outcome_of(held, command, self.profiles);
        let is_answered = missing.is_none() && lost.is_none() && reason.is_none();
        self.records
            .store_command(command, is_answered.then_some(&outcome), self.now)?;
        self.records.forget_credentials(&forget)?;
        self.write_places(&hold)?;
        for name in lost.iter().flat_map(|lost| &lost.common_names) {
            self.records.lose_credential(name)?;
        }
        let applied = match (reason, missing, lost) {
            (Some(reason), _, _) => Applied::Unheld(reason),
            (None, Some(missing), _) => issuing(command, missing),
            (None, None, Some(_)) => Applied::Answered(self.answer_lost(command)?),
            (None, None, None) => Applied::Answered(outcome),
        };
        Ok(Stored {
            handled: Handled { applied, changed: true },
            access,
            moved: hold.moved,
            forget,
        })
    }

    /// Answers a command whose keys are gone with the journal that held them: none of these profiles can be made again.
    fn answer_lost(&self, command: &Command) -> Result<Outcome, JournalError> {
        let held = self.records.user(command.user_key())?;
        let outcome = outcome_of(held.as_ref(), command, self.profiles);
        self.records
            .finish_command(command.user_key(), command.revision(), &outcome)?;
        Ok(outcome)
    }

    fn hold(&mut self, held: Option<&Held>, command: &Command) -> Hold {
        let credentials = held.map(|held| held.credentials.as_slice()).unwrap_or_default();
        let known: Vec<CommonName> = credentials
            .iter()
            .map(|credential| credential.common_name.clone())
            .collect();
        self.holding.hold(&known, command)
    }

    fn write_places(&self, hold: &Hold) -> Result<(), JournalError> {
        for (name, place) in &hold.rows {
            match place {
                Some(place) => self.records.set_place(name, place)?,
                None => self.records.free_place(name)?,
            }
        }
        Ok(())
    }
}

/// Refuses those whose group cannot be held. Gives the reason if one of them would be let in: who is suspended is refused as the command says.
fn refuse(access: &mut Access, hold: &Hold) -> Option<String> {
    let is_refused = |name: &CommonName| hold.refused.contains(name);
    let (refused, allow): (Vec<_>, Vec<_>) = std::mem::take(&mut access.allow).into_iter().partition(is_refused);
    access.allow = allow;
    let reason = hold.reason.clone().filter(|_| !refused.is_empty());
    access.deny.extend(refused);
    reason
}

fn unchanged(outcome: Outcome) -> Stored {
    let handled = Handled {
        applied: Applied::Answered(outcome),
        changed: false,
    };
    Stored {
        handled,
        access: Access::default(),
        moved: Vec::new(),
        forget: Vec::new(),
    }
}

fn issuing(command: &Command, missing: MissingProfiles) -> Applied {
    Applied::Issuing(IssueOrder {
        user_key: command.user_key(),
        revision: command.revision(),
        missing,
        note: None,
    })
}

fn add_note(outcome: &mut Outcome, text: &str) {
    match outcome {
        Outcome::Applied { note, .. } => add(note, text),
        Outcome::Failed { .. } | Outcome::Refused { .. } | Outcome::Superseded { .. } => {}
    }
}

/// What is there stays, and is not cut by what is added.
fn add(note: &mut Option<String>, text: &str) {
    match note {
        Some(present) => {
            let both = format!("{present}; {text}");
            if both.chars().count() <= TEXT {
                *present = both;
            }
        }
        None => *note = Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_added_as_long_as_there_is_room() {
        let mut note = None;
        for (text, expected) in [
            ("one", "one"),
            ("two", "one; two"),
            ("x".repeat(TEXT).as_str(), "one; two"),
            ("three", "one; two; three"),
        ] {
            add(&mut note, text);
            assert_eq!(note.as_deref(), Some(expected));
        }
    }
}
