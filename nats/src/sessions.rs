//! Reports of sessions, `vpn.event.<node>.sessions`: who was connected, when, and with how much traffic.
//!
//! Level-triggered as commands are: each record is all that the node knows of one session, and repeating or missing one changes nothing,
//! as long as a later one arrives. The node keeps a record until the stream holds it in its last state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::List,
    ids::{AgentInstance, NodeId},
    node_requests::LiveSession,
    text::word_enum,
    times,
};

/// The most records of one report, to stay below the bound of [`crate::payload`].
pub const MOST_RECORDS: usize = 50;

/// Some sessions of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sessions")]
pub struct SessionReport {
    /// The node that sends it; equals the node in the subject.
    pub node: NodeId,
    /// The run of the agent that sends it.
    pub instance: AgentInstance,
    /// At most [`MOST_RECORDS`].
    #[serde(with = "List::<MOST_RECORDS>")]
    pub records: Vec<SessionRecord>,
}

/// What the node knows of one session. The node, [`LiveSession::since`] and [`LiveSession::cid`] name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The session, with its bytes so far.
    #[serde(flatten)]
    pub session: LiveSession,
    /// When the agent last saw it alive, or saw that it had ended, by the node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub seen_at: DateTime<Utc>,
    /// Its end; absent while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When it ended, or was last seen alive ([`EndKind::Assumed`]), by the node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub at: DateTime<Utc>,
    /// How the agent knows.
    pub kind: EndKind,
}

/// How an agent knows that a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(rename_all = "snake_case")]
pub enum EndKind {
    /// It looked each second: the time and the bytes are right to some seconds.
    Seen,
    /// It was away, or could not see OpenVPN, while the session ended. The time and the bytes are those of the last time that it saw the
    /// session alive.
    Assumed,
}

word_enum!(EndKind, "a kind of end", "seen or assumed", Seen => "seen", Assumed => "assumed");
