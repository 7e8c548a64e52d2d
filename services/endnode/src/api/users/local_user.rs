//! A user as this node knows it.

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, types::Example};
use uuid::Uuid;
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, Role},
    intents::IntentAction,
    username::Username,
};

use crate::{
    api::user_options::UserOptions,
    groups::Holding,
    journal::QueuedIntent,
    plan::{Held, HeldCredential, ProfileStage, is_expired},
};

/// A user as this node knows it.
#[derive(Debug, Clone, Object)]
#[oai(example, skip_serializing_if_is_none)]
pub(super) struct LocalUser {
    /// The name.
    pub(super) username: String,
    /// The user's state on this node.
    pub(super) state: UserState,
    /// The key that management gave the user.
    pub(super) key: Option<Uuid>,
    /// The revision that the node holds.
    pub(super) revision: Option<i64>,
    /// What the node is to the user.
    pub(super) role: Option<UserRole>,
    /// The user's credentials.
    pub(super) credentials: Vec<LocalCredential>,
    /// What an operator should know, in words.
    pub(super) detail: Option<String>,
    /// Its optional fields.
    #[oai(flatten)]
    pub(super) options: UserOptions,
}

/// One credential.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct LocalCredential {
    /// Its common name.
    pub(super) common_name: String,
    /// Whether this node holds its profile.
    pub(super) profile: bool,
    /// SHA-256 of the profile, hex.
    pub(super) checksum: Option<String>,
}

/// The state of a user on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum UserState {
    /// Let in; everything is done.
    Applied,
    /// Let in; the profile is being made.
    Issuing,
    /// Refused until management activates the user again.
    Suspended,
    /// Refused: the user has expired.
    Expired,
    /// Refused: this node cannot hold the user to the rules of the group; `detail` says why, and what to do.
    Unheld,
    /// Refused: deleted on this node, and management has not carried the delete out yet.
    Deleting,
    /// Not created yet: the request waits for management.
    Queued,
    /// Not created: management refused the request.
    Refused,
}

/// What the node is to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum UserRole {
    /// Makes and keeps the profile.
    Home,
    /// Also lets the user in.
    Standby,
}

impl LocalUser {
    /// A user that the journal holds, on a node that holds members of groups so; `None` for a tombstone.
    pub(super) fn of_held(held: Held, holding: &Holding, now: DateTime<Utc>) -> Option<Self> {
        let refusal = holding.refusal(&held.command);
        let Held {
            command,
            removed_by,
            outcome,
            credentials,
            ..
        } = held;
        let Command::PutUser(put) = command else { return None };
        let (state, detail) = match (outcome, removed_by) {
            (outcome, Some(_)) => (UserState::Deleting, outcome.and_then(note_of)),
            (outcome, None) if !put.active => (UserState::Suspended, outcome.and_then(note_of)),
            (outcome, None) if is_expired(&put, now) => (UserState::Expired, outcome.and_then(note_of)),
            (_, None) if refusal.is_some() => (UserState::Unheld, refusal),
            (None, None) => (UserState::Issuing, None),
            (Some(outcome), None) => (UserState::Applied, note_of(outcome)),
        };
        Some(Self {
            username: put.username.to_string(),
            state,
            key: Some(put.user_key.0),
            revision: Some(put.revision.0),
            role: Some(match put.role {
                Role::Home => UserRole::Home,
                Role::Standby => UserRole::Standby,
            }),
            credentials: credentials.into_iter().map(LocalCredential::of).collect(),
            detail,
            options: UserOptions::of_held(&put),
        })
    }

    /// A create that waits or was refused; `None` for a delete, which shows in the state of its user.
    pub(super) fn of_intent(queued: QueuedIntent) -> Option<Self> {
        match queued.intent.action {
            IntentAction::CreateUser { username, expires_at } => {
                let state = if queued.refused.is_some() {
                    UserState::Refused
                } else {
                    UserState::Queued
                };
                Some(Self {
                    detail: queued.refused,
                    ..Self::bare(&username, state, UserOptions::of_create(expires_at))
                })
            }
            IntentAction::RemoveUser { .. } => None,
        }
    }

    /// The same user, with the fate of a create of the same name in its detail.
    pub(super) fn with_request(mut self, request: Option<&Self>) -> Self {
        let Some(request) = request else { return self };
        let fate = match (request.state, &request.detail) {
            (UserState::Refused, Some(why)) => format!("a create of this name was refused by management: {why}"),
            _ => "a create of this name waits for management".to_owned(),
        };
        let known = self.detail.take().map(|detail| format!("{detail}; "));
        self.detail = Some(known.unwrap_or_default() + &fate);
        self
    }

    /// A user of whom nothing else is known.
    pub(super) fn bare(username: &Username, state: UserState, options: UserOptions) -> Self {
        Self {
            username: username.to_string(),
            state,
            key: None,
            revision: None,
            role: None,
            credentials: Vec::new(),
            detail: None,
            options,
        }
    }
}

impl LocalCredential {
    fn of(held: HeldCredential) -> Self {
        let checksum = match held.stage {
            ProfileStage::Complete { checksum, .. } => Some(checksum),
            ProfileStage::Listed | ProfileStage::Keyed | ProfileStage::Lost => None,
        };
        Self {
            common_name: held.common_name.to_string(),
            profile: checksum.is_some(),
            checksum,
        }
    }
}

fn note_of(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Applied { note, .. } => note,
        Outcome::Failed { error } | Outcome::Refused { error } => Some(error),
        Outcome::Superseded { .. } => None,
    }
}

impl Example for LocalUser {
    fn example() -> Self {
        Self {
            username: "alice".to_owned(),
            state: UserState::Applied,
            key: Some(Uuid::from_u128(0x0193_5b0e_7a00_7000_8000_0000_0000_0001)),
            revision: Some(1),
            role: Some(UserRole::Home),
            credentials: vec![LocalCredential {
                common_name: "alice.abcdefghijklmnop".to_owned(),
                profile: true,
                checksum: Some("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned()),
            }],
            detail: None,
            options: UserOptions::example(),
        }
    }
}
