//! Acks, `vpn.ack.<node>.<user key>`: the outcome of a command on a node. Published before the command is settled.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    bounded::{List, OptionalText, TEXT, Text},
    device::MOST_DEVICES,
    ids::{AgentInstance, CommonName, NodeId, Revision, UserKey},
    times,
};

/// The result of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "ack")]
pub struct Ack {
    /// The node that sends it; equals the node in the subject.
    pub node: NodeId,
    /// The run of the agent that sends it.
    pub instance: AgentInstance,
    /// The user of the command.
    pub user_key: UserKey,
    /// The revision of the command. An ack for an older one than wanted changes nothing.
    pub revision: Revision,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// When the node finished, by the node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub applied_at: DateTime<Utc>,
}

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The node now holds exactly this state.
    Applied {
        /// The profile that the node holds for the credential homed on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issued: Option<Issued>,
        /// Those for the further credentials of [`Issue::further`](crate::commands::Issue::further).
        #[serde(default, with = "List::<MOST_DEVICES>", skip_serializing_if = "Vec::is_empty")]
        further: Vec<FurtherIssued>,
        /// A note for the operator, such as that a profile is no longer available.
        #[serde(default, with = "OptionalText::<TEXT>", skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The node could not apply it, and tries again when the command is delivered again.
    Failed {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        error: String,
    },
    /// The node will never apply it: the command itself is wrong.
    Refused {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        error: String,
    },
    /// The node already holds a newer revision of this user.
    Superseded {
        /// The revision that it holds.
        holds: Revision,
    },
}

/// A credential with its certificate and profile, as the home node holds them. The private key leaves that node only inside the profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The credential.
    pub common_name: CommonName,
    /// The path of the profile on the node.
    #[serde(with = "Text::<TEXT>")]
    pub profile_path: String,
    /// SHA-256 of the profile, lower-case hex.
    #[serde(deserialize_with = "checksum")]
    pub profile_checksum: String,
}

/// The profile of one more credential. Its path follows from that of the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FurtherIssued {
    /// The credential.
    pub common_name: CommonName,
    /// SHA-256 of the profile, lower-case hex.
    #[serde(deserialize_with = "checksum")]
    pub profile_checksum: String,
}

/// Reads a SHA-256 in lower-case hex.
fn checksum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(hex) {
        Ok(text)
    } else {
        Err(D::Error::custom("a checksum must be 64 lower-case hex digits"))
    }
}
