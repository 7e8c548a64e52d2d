//! How many sessions a node may begin in the history, and how often it may say how far one is. Rows stay for months, and a node may tell of any number of sessions.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_nats::ids::NodeId;

use super::audit_room::Room;

/// How many sessions a node may begin, and how often one is written.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At once, after a silent time. After an outage the journal of a node has up to 200,000 that ended meanwhile (`endnode`,
    /// `journal/sessions.rs`); a tenth more is for those that begin then.
    pub at_once: u32,
    /// In each hour.
    pub per_hour: u32,
    /// The shortest time between two writes of how far one living session is. An agent tells of it every five minutes.
    pub progress: TimeDelta,
}

/// Of each node. A row takes some 600 bytes with its indexes (measured), so a thief with one node adds 280 MB a day.
pub const PACE: Pace = Pace {
    at_once: 220_000,
    per_hour: 20_000,
    progress: TimeDelta::seconds(60),
};

/// The room of each node, as one replica counts it.
#[derive(Debug)]
pub struct SessionRoom {
    pace: Pace,
    nodes: HashMap<NodeId, Room>,
}

impl Default for SessionRoom {
    fn default() -> Self {
        Self::new(PACE)
    }
}

impl SessionRoom {
    /// Each node may begin sessions at this pace.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            nodes: HashMap::new(),
        }
    }

    /// [`Pace::progress`].
    pub fn progress(&self) -> TimeDelta {
        self.pace.progress
    }

    /// How many of `wanted` sessions the node may begin at `now`.
    pub fn allows(&self, node: &NodeId, wanted: u32, now: DateTime<Utc>) -> u32 {
        let (allowed, _after) = self.take(node, wanted, now);
        allowed
    }

    /// Notes that the node began so many, which it was allowed.
    pub fn spend(&mut self, node: &NodeId, began: u32, now: DateTime<Utc>) {
        let (_spent, after) = self.take(node, began, now);
        self.nodes.insert(node.clone(), after);
    }

    fn take(&self, node: &NodeId, sessions: u32, now: DateTime<Utc>) -> (u32, Room) {
        let Pace { at_once, per_hour, .. } = self.pace;
        let known = self.nodes.get(node).copied();
        let room = known.unwrap_or_else(|| Room::full(at_once, now));
        room.take_of(at_once, sessions, per_hour, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_has_begun_too_many_waits_and_another_does_not() {
        let [thief, honest] = ["node-2", "node-1"].map(|id| id.parse::<NodeId>().expect("a valid id"));
        let noon = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let mut room = SessionRoom::new(Pace {
            at_once: 60,
            per_hour: 60,
            ..PACE
        });
        assert_eq!(room.allows(&thief, 100, noon), 60);
        room.spend(&thief, 60, noon);
        assert_eq!(room.allows(&thief, 1, noon), 0);
        assert_eq!(room.allows(&honest, 1, noon), 1);
        assert_eq!(room.allows(&thief, 100, noon + TimeDelta::minutes(5)), 5);
    }

    #[test]
    fn what_a_node_kept_of_an_outage_has_room_at_once() {
        let node: NodeId = "node-1".parse().expect("a valid id");
        let noon = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let mut room = SessionRoom::default();
        for _report in 0..4_000 {
            assert_eq!(room.allows(&node, 50, noon), 50);
            room.spend(&node, 50, noon);
        }
        assert_eq!(room.allows(&node, 30_000, noon), 20_000);
        room.spend(&node, 20_000, noon);
        assert_eq!(room.allows(&node, 30_000, noon + TimeDelta::hours(1)), 20_000);
        assert_eq!(room.allows(&node, 300_000, noon + TimeDelta::days(9)), 220_000);
    }
}
