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
    /// Of a session that lives: when the agent last saw it alive. Of one that has ended: when the agent saw that it had ended, which may be
    /// long after [`Ended::at`]. By the node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub seen_at: DateTime<Utc>,
    /// Its end; absent while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// [`EndKind::Seen`]: when it ended, the same as [`SessionRecord::seen_at`]. [`EndKind::Assumed`]: when it was last seen alive; it
    /// ended between then and [`SessionRecord::seen_at`]. By the node's clock.
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
    /// It saw that OpenVPN dropped the session, between two looks that were 5 s apart at most. OpenVPN drops a client that said goodbye at
    /// once. One that vanished it drops when it has heard nothing for twice the time of its `keepalive`: up to 14 s later with the `1 7` of
    /// a managed node, or as long as its `OPENVPN_KEEPALIVE` or the operator's own configuration says.
    Seen,
    /// It was away, or did not see OpenVPN, for more than 5 s, and found the session gone when it looked again. [`Ended::at`] and the bytes
    /// are those of the last time that it saw the session alive, [`SessionRecord::seen_at`] is when it looked again: the session ended
    /// between the two. After a start of the agent the last time is the last that its journal holds, at most 30 s older than the last look.
    Assumed,
}

word_enum!(EndKind, "a kind of end", "seen or assumed", Seen => "seen", Assumed => "assumed");
