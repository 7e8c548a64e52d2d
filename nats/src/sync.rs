//! The handshake `vpn.sync.<node>`: at each (re)connect and every few minutes a node says what it holds, and management says whether that is all.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    bounded::{TEXT, Text},
    endpoint::{BusPlace, Endpoint},
    groups::Groups,
    ids::{AgentInstance, InvalidId, NodeId, Revision, UserKey},
    network::PoolNetwork,
    text::as_text,
    times,
};

/// What a node says it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "sync")]
pub struct SyncRequest {
    /// The node that asks; equals the node in the subject.
    pub node: NodeId,
    /// The run of the agent that sends it.
    pub instance: AgentInstance,
    /// Stream sequence of the last settled command, 0 for an empty journal.
    pub last_sequence: u64,
    /// Users that the journal holds.
    pub users: u64,
    /// Digest over those users and their revisions.
    pub digest: StateDigest,
    /// Whether the node has ever held a complete snapshot.
    pub complete: bool,
    /// The store that `last_sequence` counts in; `None` before the first complete snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamId>,
    /// Requests of the local API that wait for management. Until they are carried out the node is expected to differ.
    #[serde(default)]
    pub queued_intents: u64,
    /// Commands that this run of the agent has received and not settled. If the bus counts more, the others were lost on the way.
    #[serde(default)]
    pub unsettled: u64,
    /// Where clients reach the node; `None`: an agent of an older release, and what management knows stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The node's clock.
    #[serde(deserialize_with = "times::bounded")]
    pub at: DateTime<Utc>,
}

/// Management's answer, with what the node should know whatever the verdict is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReply {
    /// What the node should do.
    #[serde(flatten)]
    pub answer: SyncAnswer,
    /// Where the bus is, should it move; `None`: management of an older release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<BusPlace>,
    /// The network of the node's pool; `None`: management of an older release, and what the node has applied stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<PoolNetwork>,
    /// The groups of the fleet; `None`: management of an older release, and what the node knows stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
}

impl From<SyncAnswer> for SyncReply {
    /// Nothing is said of the bus, of the network and of groups.
    fn from(answer: SyncAnswer) -> Self {
        Self {
            answer,
            bus: None,
            network: None,
            groups: None,
        }
    }
}

/// What the node should do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum SyncAnswer {
    /// The node is in step. Its snapshot is complete once the command with this sequence is applied.
    Ok {
        /// Stream sequence of the newest command for this node, 0 when there is none.
        upto_sequence: u64,
        /// The store that this sequence counts in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<StreamId>,
    },
    /// Everything must be sent again and is being published. The node asks again in a moment.
    Preparing {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        reason: String,
    },
    /// Everything is delivered again from the start. Once this sequence is applied, the node removes the users that were not delivered.
    Resync {
        /// Stream sequence of the newest command for this node, 0 when there is none.
        upto_sequence: u64,
        /// The store that this sequence counts in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<StreamId>,
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        reason: String,
        /// The node lost its journal. Management has recorded that the node applied every command up to this sequence, so it need not ack
        /// them again; the keys of the credentials that they had it make are lost. `None`: it acks all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recorded_upto: Option<u64>,
    },
    /// This node must not serve: deregistered, or a clone of a live one.
    Refused {
        /// The reason, for people.
        #[serde(with = "Text::<TEXT>")]
        reason: String,
    },
}

/// The identity of the stream of commands: when it was created, in microseconds since 1970. Sequences of different streams cannot
/// be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub i64);

/// An order-independent digest of what a node holds: the XOR of one 64-bit hash for each user and revision.
/// Printed as 16 hex digits. Not a secret and no protection against a hostile node; it finds drift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "sea-orm",
    derive(sea_orm::DeriveValueType),
    sea_orm(value_type = "String")
)]
#[serde(try_from = "String", into = "String")]
pub struct StateDigest(pub u64);

impl StateDigest {
    /// The share of one user that is held at this revision: the first eight bytes of SHA-256 over `<user key>:<revision>`.
    pub fn of(user: UserKey, revision: Revision) -> Self {
        let hash = digest::digest(&digest::SHA256, format!("{user}:{revision}").as_bytes());
        let head = hash
            .as_ref()
            .iter()
            .take(8)
            .fold(0_u64, |head, byte| head << 8 | u64::from(*byte));
        Self(head)
    }

    /// Adds a user's share, or takes it out again.
    #[must_use]
    pub fn toggle(self, share: Self) -> Self {
        Self(self.0 ^ share.0)
    }
}

impl FromIterator<Self> for StateDigest {
    fn from_iter<I: IntoIterator<Item = Self>>(shares: I) -> Self {
        shares.into_iter().fold(Self::default(), Self::toggle)
    }
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for StateDigest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("a digest", "16 hex digits");
        if text.len() != 16 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| invalid())
    }
}

as_text!(StateDigest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_ignores_order_and_notices_a_revision() {
        let (alice, bob) = (UserKey::new(), UserKey::new());
        let share = |user, revision| StateDigest::of(user, Revision(revision));
        let one: StateDigest = [share(alice, 1), share(bob, 2)].into_iter().collect();
        let other: StateDigest = [share(bob, 2), share(alice, 1)].into_iter().collect();
        let later: StateDigest = [share(bob, 2), share(alice, 2)].into_iter().collect();
        assert_eq!(one, other);
        assert_ne!(one, later);
        assert_eq!(one.toggle(share(bob, 2)), share(alice, 1));
        assert_eq!(one.to_string().parse(), Ok(one));
    }
}
