//! Acks, `vpn.ack.<node>.<user key>`: what a node made of a command. Published before the command is settled.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{AgentInstance, CommonName, NodeId, Revision, UserKey};

/// The result of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "ack")]
pub struct Ack {
    /// Who speaks; equals the subject's node.
    pub node: NodeId,
    /// Which run of the agent.
    pub instance: AgentInstance,
    /// The user of the command.
    pub user_key: UserKey,
    /// The revision of the command. An ack for an older one than wanted changes nothing.
    pub revision: Revision,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// When the node had done it, by the node's clock.
    pub applied_at: DateTime<Utc>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The node holds exactly this state.
    Applied {
        /// The profile that the node holds for the credential homed on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issued: Option<Issued>,
        /// Something the operator should know, such as a profile that can be had no more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The node could not; it tries again when the command is delivered again.
    Failed {
        /// Why, in words.
        error: String,
    },
    /// The node never will: the command itself is wrong.
    Refused {
        /// Why, in words.
        error: String,
    },
    /// The node holds a newer state of this user already.
    Superseded {
        /// The revision that it holds.
        holds: Revision,
    },
}

/// A credential with its certificate and profile, as the home node holds them. The private key never leaves that node but inside the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The credential.
    pub common_name: CommonName,
    /// Where the profile lies on the node.
    pub profile_path: String,
    /// SHA-256 of the profile, lower-case hex.
    pub profile_checksum: String,
}
