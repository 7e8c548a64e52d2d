//! Events, `vpn.event.<node>.<kind>`: what happened on a node that the audit trail should know.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{AgentInstance, CommonName, EventId, NodeId, UserKey};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Recorded once, however often it is delivered.
    pub id: EventId,
    /// Who speaks; equals the subject's node.
    pub node: NodeId,
    /// Which run of the agent.
    pub instance: AgentInstance,
    /// When, by the node's clock.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// A command could not be read; it was terminated, and the next one applied.
    CommandUndecodable {
        /// The subject that it came on.
        subject: String,
        /// Its sequence in the stream.
        sequence: u64,
        /// Why, in words.
        error: String,
    },
    /// The node enforced a user's expiry by its own clock.
    UserExpired {
        /// The user.
        user_key: UserKey,
        /// Live sessions that were cut.
        sessions: u32,
    },
    /// Sessions of credentials that are not let in were found and cut.
    SessionsCut {
        /// Whose.
        common_names: Vec<CommonName>,
    },
    /// The allow-list folder differed from the journal and was made right.
    AllowListRepaired {
        /// Missing files that were put back.
        restored: Vec<String>,
        /// Files that nobody ordered, removed.
        removed: Vec<String>,
    },
    /// OpenVPN answers.
    OpenvpnUp {
        /// Its process id.
        pid: u32,
    },
    /// OpenVPN does not answer.
    OpenvpnDown {
        /// Why, in words.
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
