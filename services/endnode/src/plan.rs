//! What a command asks of this node, given what the journal holds: decided here without side effects, carried out in `apply`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, Issue, PutUser, Remote, Role},
    device::MOST_DEVICES,
    groups::GroupName,
    ids::{CommonName, IntentId, Revision},
    old_certificates::OldCertificate,
};

/// What the journal holds of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The newest command. A [`Command::RemoveUser`] is a tombstone.
    pub command: Command,
    /// A local delete that management has not carried out yet.
    pub removed_by: Option<IntentId>,
    /// The outcome of the command; `None` while profiles are being made.
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
        /// The answer; `None` when profiles have still to be made.
        outcome: Option<Outcome>,
        /// The profiles to make, when the answer is open. None is left when another command has made the last one: then only the answer is.
        missing: Option<MissingProfiles>,
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
    /// The profiles to make, at least one; `None` when there is nothing to make.
    pub missing: Option<MissingProfiles>,
}

/// Profiles to make on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingProfiles {
    /// Their credentials, in the order of the command.
    pub common_names: Vec<CommonName>,
    /// The nodes that each of them names.
    pub remotes: Vec<Remote>,
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
        Some(held) if held.command.revision() == command.revision() && !tells_more(held, command) => Plan::Repeat {
            access: access(held, now),
            outcome: held.outcome.clone(),
            missing: match &held.outcome {
                Some(_) => None,
                None => issue_of(&held.command).map(|issue| missing(&held.credentials, issue)),
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

/// The profiles that a command wants made on this node.
pub fn issue_of(command: &Command) -> Option<&Issue> {
    match command {
        Command::PutUser(put) => put.issue.as_ref(),
        Command::RemoveUser(_) => None,
    }
}

/// The group of a command's user, if that is another one than `default`.
pub fn group_of(command: &Command) -> Option<&GroupName> {
    match command {
        Command::PutUser(put) => put.group.as_ref().filter(|group| !group.is_default()),
        Command::RemoveUser(_) => None,
    }
}

/// The old certificates of a command's user.
pub fn old_certificates_of(command: &Command) -> &[OldCertificate] {
    match command {
        Command::PutUser(put) => &put.old_certificates,
        Command::RemoveUser(_) => &[],
    }
}

/// Those that the command lets in at the moment `now`. The rules of groups ride on addresses that the old listener does not give: it lets in nobody
/// who is in another one than `default`.
pub fn old_let_in(command: &Command, now: DateTime<Utc>) -> impl Iterator<Item = &OldCertificate> {
    let is_let_in = match command {
        Command::PutUser(put) => put.active && !is_expired(put, now) && group_of(command).is_none(),
        Command::RemoveUser(_) => false,
    };
    let all = old_certificates_of(command).iter();
    all.filter(move |certificate| is_let_in && certificate.expires_at.is_none_or(|end| end > now))
}

/// The group of a command's user, if that is another one than `default`, and the command lets her in.
pub fn let_in_with(command: &Command, now: DateTime<Utc>) -> Option<&GroupName> {
    match command {
        Command::PutUser(put) if put.active && !is_expired(put, now) => group_of(command),
        Command::PutUser(_) | Command::RemoveUser(_) => None,
    }
}

/// Those profiles of a command that are still to be made, given the user's credentials: one that can never be made is none of them.
pub fn missing(credentials: &[HeldCredential], issue: &Issue) -> MissingProfiles {
    let open = issue
        .common_names()
        .filter(|name| !is_settled(credentials, name, &issue.remotes));
    MissingProfiles {
        common_names: open.cloned().collect(),
        remotes: issue.remotes.clone(),
    }
}

/// Whether the user has expired.
pub fn is_expired(put: &PutUser, now: DateTime<Utc>) -> bool {
    put.expires_at.is_some_and(|end| end <= now)
}

/// Whether a command says what an agent of an earlier release did not keep: in which group the user is, or which old certificates are hers.
fn tells_more(held: &Held, command: &Command) -> bool {
    let tells_group = group_of(&held.command).is_none() && group_of(command).is_some();
    let tells_old = old_certificates_of(&held.command).is_empty() && !old_certificates_of(command).is_empty();
    tells_group || tells_old
}

fn change(held: Option<&Held>, command: &Command, now: DateTime<Utc>) -> Change {
    let credentials = held.map(|held| held.credentials.as_slice()).unwrap_or_default();
    let known: Vec<CommonName> = credentials
        .iter()
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
            missing: put
                .issue
                .as_ref()
                .map(|issue| missing(credentials, issue))
                .filter(|missing| !missing.common_names.is_empty()),
        },
        Command::RemoveUser(_) => Change {
            access: Access {
                allow: Vec::new(),
                deny: known.clone(),
            },
            forget: known,
            missing: None,
        },
    }
}

/// Whether the profile is made and names these nodes, or can never be made.
fn is_settled(credentials: &[HeldCredential], name: &CommonName, wanted: &[Remote]) -> bool {
    credentials.iter().any(|credential| {
        credential.common_name == *name
            && match &credential.stage {
                ProfileStage::Complete { remotes, .. } => remotes == wanted,
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

/// Whether one of the credentials is named twice.
fn has_twins(issue: &Issue) -> bool {
    let mut seen = BTreeSet::new();
    issue.common_names().any(|name| !seen.insert(name))
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
        Role::Home if issue.further.len() >= MOST_DEVICES => {
            Some("it wants more profiles than a user may have devices")
        }
        Role::Home if issue.common_names().any(|name| !credentials.contains(name)) => {
            Some("a profile's credential is none of the user's")
        }
        Role::Home if has_twins(issue) => Some("it wants two profiles of one credential"),
        Role::Home if issue.remotes.is_empty() => Some("the profile names no node"),
        Role::Home => None,
    }
}

#[cfg(test)]
mod tests;
