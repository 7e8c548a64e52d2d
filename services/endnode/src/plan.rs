//! What a command asks of this node, given what the journal holds: decided here without side effects, carried out in `apply`.

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, Issue, PutUser, Remote, Role},
    ids::{CommonName, IntentId, Revision},
};

/// What the journal holds of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The newest command. A [`Command::RemoveUser`] is a tombstone.
    pub command: Command,
    /// A local delete that management has not carried out yet.
    pub removed_by: Option<IntentId>,
    /// The outcome of the command; `None` while a profile is being made.
    pub outcome: Option<Outcome>,
    /// The newest revision that was applied completely, 0 for none.
    pub applied: Revision,
    /// The user's credentials.
    pub credentials: Vec<HeldCredential>,
}

/// One credential of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCredential {
    /// Its name.
    pub common_name: CommonName,
    /// How far its profile is here.
    pub stage: ProfileStage,
}

/// How far the profile of a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileStage {
    /// Not made on this node, or not begun.
    Listed,
    /// The key is journaled, the certificate has not arrived.
    Keyed,
    /// The profile is journaled.
    Complete {
        /// The nodes it names.
        remotes: Vec<Remote>,
        /// SHA-256 of it, lower-case hex.
        checksum: String,
    },
    /// It can never be made on this node: the certificate is for another key, or management does not certify the credential any more.
    Lost,
}

/// What to do about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// The command contradicts itself: nothing is done.
    Refuse {
        /// Why, in words.
        error: &'static str,
    },
    /// The journal holds something newer: nothing is done.
    Supersede {
        /// Its revision.
        holds: Revision,
    },
    /// The journal holds exactly this command: repeat its projections and answer as before.
    Repeat {
        /// Who is let in.
        access: Access,
        /// The answer; `None` when the profile has still to be made.
        outcome: Option<Outcome>,
        /// The profile to make, when the answer is open.
        issue: Option<Issue>,
    },
    /// The command is newer than what is held.
    Change(Change),
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who is let in.
    pub access: Access,
    /// Credentials that the user has no more: their keys and profiles are deleted.
    pub forget: Vec<CommonName>,
    /// The profile to make.
    pub issue: Option<Issue>,
}

/// Which credentials of one user are let in, and which are refused and cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Let in.
    pub allow: Vec<CommonName>,
    /// Refused.
    pub deny: Vec<CommonName>,
}

/// Decides what to do about `command` at the moment `now`. `held` is `None` for a user that this node does not know.
pub fn plan(held: Option<&Held>, command: &Command, now: DateTime<Utc>) -> Plan {
    if let Some(error) = contradiction(command) {
        return Plan::Refuse { error };
    }
    match held {
        Some(held) if held.command.revision() > command.revision() => Plan::Supersede {
            holds: held.command.revision(),
        },
        Some(held) if held.command.revision() == command.revision() => Plan::Repeat {
            access: access(held, now),
            outcome: held.outcome.clone(),
            issue: match &held.outcome {
                Some(_) => None,
                None => issue_of(&held.command).cloned(),
            },
        },
        Some(_) | None => Plan::Change(change(held, command, now)),
    }
}

/// Which credentials of a held user are let in at the moment `now`.
pub fn access(held: &Held, now: DateTime<Utc>) -> Access {
    let known = held.credentials.iter().map(|credential| credential.common_name.clone());
    match &held.command {
        Command::PutUser(put) => split(put, held.removed_by.is_some(), known, now),
        Command::RemoveUser(_) => Access {
            allow: Vec::new(),
            deny: known.collect(),
        },
    }
}

/// The profile that a command wants made on this node.
pub fn issue_of(command: &Command) -> Option<&Issue> {
    match command {
        Command::PutUser(put) => put.issue.as_ref(),
        Command::RemoveUser(_) => None,
    }
}

/// Whether the user has expired.
pub fn is_expired(put: &PutUser, now: DateTime<Utc>) -> bool {
    put.expires_at.is_some_and(|end| end <= now)
}

fn change(held: Option<&Held>, command: &Command, now: DateTime<Utc>) -> Change {
    let known: Vec<CommonName> = held
        .iter()
        .flat_map(|held| &held.credentials)
        .map(|credential| credential.common_name.clone())
        .collect();
    match command {
        Command::PutUser(put) => Change {
            access: split(
                put,
                held.is_some_and(|held| held.removed_by.is_some()),
                known.iter().cloned(),
                now,
            ),
            forget: known
                .into_iter()
                .filter(|name| !put.credentials.contains(name))
                .collect(),
            issue: put.issue.clone().filter(|issue| !is_made(held, issue)),
        },
        Command::RemoveUser(_) => Change {
            access: Access {
                allow: Vec::new(),
                deny: known.clone(),
            },
            forget: known,
            issue: None,
        },
    }
}

fn is_made(held: Option<&Held>, issue: &Issue) -> bool {
    let mut credentials = held.iter().flat_map(|held| &held.credentials);
    credentials.any(|credential| {
        credential.common_name == issue.common_name
            && match &credential.stage {
                ProfileStage::Complete { remotes, .. } => *remotes == issue.remotes,
                ProfileStage::Lost => true,
                ProfileStage::Listed | ProfileStage::Keyed => false,
            }
    })
}

fn split(put: &PutUser, removed_locally: bool, known: impl Iterator<Item = CommonName>, now: DateTime<Utc>) -> Access {
    let let_in = put.active && !removed_locally && !is_expired(put, now);
    let allow = if let_in { put.credentials.clone() } else { Vec::new() };
    let mut deny: Vec<CommonName> = known.filter(|name| !allow.contains(name)).collect();
    let unknown = put
        .credentials
        .iter()
        .filter(|name| !allow.contains(name) && !deny.contains(name));
    let unknown: Vec<CommonName> = unknown.cloned().collect();
    deny.extend(unknown);
    Access { allow, deny }
}

fn contradiction(command: &Command) -> Option<&'static str> {
    let Command::PutUser(PutUser {
        role,
        credentials,
        issue: Some(issue),
        ..
    }) = command
    else {
        return None;
    };
    match role {
        Role::Standby => Some("a standby makes no profile"),
        Role::Home if !credentials.contains(&issue.common_name) => {
            Some("the profile's credential is none of the user's")
        }
        Role::Home if issue.remotes.is_empty() => Some("the profile names no node"),
        Role::Home => None,
    }
}

#[cfg(test)]
mod tests;
