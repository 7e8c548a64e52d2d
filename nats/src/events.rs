//! Events, `vpn.event.<node>.<kind>`: what happened on a node that the audit trail should know.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::{ENTRIES, List, Names, TEXT, Text},
    ids::{AgentInstance, CommonName, EventId, NodeId, UserKey},
    times,
};

/// One event of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Management records an id once, however often the event is delivered.
    pub id: EventId,
    /// The node that sends it; equals the node in the subject.
    pub node: NodeId,
    /// The run of the agent that sends it.
    pub instance: AgentInstance,
    /// When it happened, by the node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A command could not be decoded. It was terminated, and the node went on with the next one.
    CommandUndecodable {
        /// The subject that it came on.
        #[serde(with = "Text::<TEXT>")]
        subject: String,
        /// Its sequence in the stream.
        sequence: u64,
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        error: String,
    },
    /// The node enforced a user's expiry by its own clock.
    UserExpired {
        /// The user.
        user_key: UserKey,
        /// Live sessions that were cut.
        sessions: u32,
    },
    /// Live sessions of credentials that are not allowed were found and cut.
    SessionsCut {
        /// The common names of these credentials, at most [`ENTRIES`]; a node sends several events for more.
        #[serde(with = "List::<ENTRIES>")]
        common_names: Vec<CommonName>,
    },
    /// The allow-list folder differed from the journal and was repaired.
    AllowListRepaired {
        /// Files that were missing and were written again.
        #[serde(with = "Names")]
        restored: Vec<String>,
        /// Files that the journal does not name, and that were removed.
        #[serde(with = "Names")]
        removed: Vec<String>,
    },
    /// OpenVPN started to answer.
    OpenvpnUp {
        /// Its process id.
        pid: u32,
    },
    /// OpenVPN stopped answering.
    OpenvpnDown {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        reason: String,
    },
}

impl EventKind {
    /// The last token of the subject, and the action in the audit trail.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CommandUndecodable { .. } => "command_undecodable",
            Self::UserExpired { .. } => "user_expired",
            Self::SessionsCut { .. } => "sessions_cut",
            Self::AllowListRepaired { .. } => "allow_list_repaired",
            Self::OpenvpnUp { .. } => "openvpn_up",
            Self::OpenvpnDown { .. } => "openvpn_down",
        }
    }
}
