//! Intents, `vpn.intent.<node>`: what an operator asked a node's local API, carried to management. Answered once PostgreSQL holds it;
//! repeating one returns the same answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{IntentId, NodeId, Revision, UserKey},
    username::Username,
};

/// One local request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Makes repeating harmless.
    pub id: IntentId,
    /// Who asks; equals the subject's node.
    pub node: NodeId,
    /// When the operator asked, by the node's clock.
    pub requested_at: DateTime<Utc>,
    /// The address that asked the local API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<std::net::IpAddr>,
    /// What is wanted.
    #[serde(flatten)]
    pub action: IntentAction,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum IntentAction {
    /// A new user, homed on the asking node.
    CreateUser {
        /// The name.
        username: Username,
        /// Its end, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<DateTime<Utc>>,
    },
    /// The end of a user, everywhere.
    RemoveUser {
        /// The user as the node knows it; a user created again under the name since then is not meant.
        user_key: UserKey,
        /// The name.
        username: Username,
    },
}

/// What management made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum IntentAnswer {
    /// It is recorded; commands follow.
    Accepted {
        /// The user.
        user_key: UserKey,
        /// The revision that carries it.
        revision: Revision,
    },
    /// It contradicts what PostgreSQL holds.
    Refused {
        /// Which rule forbids it.
        reason: IntentRefusal,
        /// In words.
        detail: String,
    },
    /// Not at this moment: ask again.
    Unavailable,
}

/// Why an intent is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentRefusal {
    /// A living user has that name.
    UsernameTaken,
    /// There is no such user any more.
    UnknownUser,
    /// The expiry is not in the future.
    Expiry,
    /// The node may not take users.
    NodeUnavailable,
}
