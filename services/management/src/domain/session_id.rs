//! The name of one live session in the whole fleet.

use std::{
    cmp::{Ordering, Reverse},
    fmt,
    str::FromStr,
};

use chrono::{DateTime, Utc};
use vpnmanager_nats::ids::NodeId;

/// A session: where it is, when it began, and OpenVPN's number for it, which is used again after OpenVPN restarted.
///
/// Sessions are ordered from the newest to the oldest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId {
    /// The node.
    pub node: NodeId,
    /// When it began, in whole seconds.
    pub since: DateTime<Utc>,
    /// OpenVPN's number for it.
    pub cid: u64,
}

impl SessionId {
    /// The pattern of a valid id, for API descriptions.
    pub const PATTERN: &'static str =
        r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}\.(?:0|[1-9][0-9]{0,10})\.(?:0|[1-9][0-9]{0,17})$";
    /// The most characters that an id may have.
    pub const MAX_LENGTH: usize = 63 + 1 + 11 + 1 + 18;

    /// `None` for a session that no OpenVPN has: one that begins before 1970, or with a number beyond 10^18.
    pub fn new(node: NodeId, since: DateTime<Utc>, cid: u64) -> Option<Self> {
        let id = Self { node, since, cid };
        (id.to_string().parse() == Ok(id.clone())).then_some(id)
    }

    fn key(&self) -> (Reverse<DateTime<Utc>>, &NodeId, Reverse<u64>) {
        (Reverse(self.since), &self.node, Reverse(self.cid))
    }
}

impl Ord for SessionId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for SessionId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.since.timestamp(), self.cid)
    }
}

/// The text is not the id of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the id of a session as the list of sessions has it, such as node-1.1795000000.7")]
pub struct InvalidSessionId;

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let mut parts = text.split('.');
        let (Some(node), Some(since), Some(cid), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidSessionId);
        };
        let since = i64::try_from(number(since, 11)?).map_err(|_| InvalidSessionId)?;
        Ok(Self {
            node: node.parse().map_err(|_| InvalidSessionId)?,
            since: DateTime::from_timestamp(since, 0).ok_or(InvalidSessionId)?,
            cid: number(cid, 18)?,
        })
    }
}

/// A number as it is written here: digits alone, no more than so many, and no zero before others.
fn number(text: &str, most: usize) -> Result<u64, InvalidSessionId> {
    let is_plain = text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    if !is_plain || has_zeros {
        return Err(InvalidSessionId);
    }
    text.parse().map_err(|_| InvalidSessionId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SessionId {
        text.parse().expect("an id")
    }

    #[test]
    fn an_id_round_trips_and_anything_else_is_refused() {
        for text in ["node-1.1795000000.0", "a.0.7", "n_1.99999999999.999999999999999999"] {
            assert_eq!(id(text).to_string(), text);
        }
        for bad in [
            "",
            "node-1",
            "node-1.1795000000",
            "node-1.1795000000.",
            "node-1.1795000000.7.8",
            "node-1.1795000000.-7",
            "node-1.+1795000000.7",
            "node-1.01795000000.7",
            "node-1.1795000000.07",
            "node-1.999999999999.7",
            "node-1.1795000000.1000000000000000000",
            "-node.1795000000.7",
            "node 1.1795000000.7",
        ] {
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidSessionId), "{bad}");
        }
    }

    #[test]
    fn what_a_node_says_becomes_an_id_only_if_it_can_be_written() {
        let node = || "node-1".parse::<NodeId>().unwrap();
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        assert!(SessionId::new(node(), at(1_795_000_000), 7).is_some());
        assert_eq!(SessionId::new(node(), at(-1), 7), None);
        assert_eq!(SessionId::new(node(), at(1_795_000_000), u64::MAX), None);
        let between = at(1_795_000_000) + chrono::TimeDelta::milliseconds(1);
        assert_eq!(SessionId::new(node(), between, 7), None);
    }

    #[test]
    fn the_newest_comes_first() {
        let mut ids = ["b.100.1", "a.100.2", "a.100.1", "a.200.9"].map(id);
        ids.sort();
        assert_eq!(
            ids.map(|id| id.to_string()),
            ["a.200.9", "a.100.2", "a.100.1", "b.100.1"]
        );
    }
}
