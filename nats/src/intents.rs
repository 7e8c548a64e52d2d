//! Intents, `vpn.intent.<node>`: what an operator asked a node's local API, carried to management. Answered once PostgreSQL holds it;
//! repeating one returns the same answer.

use std::ops::Not;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::{TEXT, Text},
    ids::{IntentId, NodeId, Revision, UserKey},
    times,
    username::Username,
};

/// One local request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The id of the request; the same id always gets the same answer.
    pub id: IntentId,
    /// The node that asks; equals the node in the subject.
    pub node: NodeId,
    /// When the operator asked, by the node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub requested_at: DateTime<Utc>,
    /// The address that asked the local API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<std::net::IpAddr>,
    /// Whether it was asked at the socket of the node, by root of its machine, and so without a key and from no address.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub local: bool,
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
        /// When its access ends; `None`: never.
        #[serde(
            default,
            deserialize_with = "times::bounded_option",
            skip_serializing_if = "Option::is_none"
        )]
        expires_at: Option<DateTime<Utc>>,
    },
    /// Removes a user from every node.
    RemoveUser {
        /// The user as the node knows it. A user that was created again with the same name has another key and is not removed.
        user_key: UserKey,
        /// The name.
        username: Username,
    },
}

/// Management's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum IntentAnswer {
    /// The change is recorded; commands follow.
    Accepted {
        /// The user.
        user_key: UserKey,
        /// The revision that carries it.
        revision: Revision,
    },
    /// It is not allowed.
    Refused {
        /// The rule that forbids it.
        reason: IntentRefusal,
        /// An explanation for people.
        #[serde(with = "Text::<TEXT>")]
        detail: String,
    },
    /// Management cannot answer at the moment: the node asks again later.
    Unavailable,
}

/// Why an intent is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentRefusal {
    /// Another user has that name.
    UsernameTaken,
    /// There is no such user any more.
    UnknownUser,
    /// The expiry is not in the future.
    Expiry,
    /// No users may be placed on the node.
    NodeUnavailable,
}
