//! How many sessions a node may begin in the history. Rows stay for months, and a node may tell of any number of sessions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use vpnmanager_nats::ids::NodeId;

use super::audit_room::Room;

/// Sessions that a node may begin in an hour, and at once after a silent one. After an outage the journal of a node has up to 200,000 that ended
/// meanwhile (`endnode`, `journal/sessions.rs`); a tenth more is for those that begin then.
pub const SESSIONS_PER_HOUR: u32 = 220_000;

/// The room of each node, as one replica counts it.
#[derive(Debug)]
pub struct SessionRoom {
    per_hour: u32,
    nodes: HashMap<NodeId, Room>,
}

impl Default for SessionRoom {
    fn default() -> Self {
        Self::new(SESSIONS_PER_HOUR)
    }
}

impl SessionRoom {
    /// Each node may begin `per_hour` sessions in an hour.
    pub fn new(per_hour: u32) -> Self {
        Self {
            per_hour,
            nodes: HashMap::new(),
        }
    }

    /// How many of `wanted` sessions the node may begin at `now`.
    pub fn allows(&self, node: &NodeId, wanted: u32, now: DateTime<Utc>) -> u32 {
        let (allowed, _after) = self.room_of(node, now).take(wanted, self.per_hour, now);
        allowed
    }

    /// Notes that the node began so many, which it was allowed.
    pub fn spend(&mut self, node: &NodeId, began: u32, now: DateTime<Utc>) {
        let (_spent, after) = self.room_of(node, now).take(began, self.per_hour, now);
        self.nodes.insert(node.clone(), after);
    }

    fn room_of(&self, node: &NodeId, now: DateTime<Utc>) -> Room {
        let known = self.nodes.get(node).copied();
        known.unwrap_or_else(|| Room::full(self.per_hour, now))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_node_that_has_begun_too_many_waits_and_another_does_not() {
        let [thief, honest] = ["node-2", "node-1"].map(|id| id.parse::<NodeId>().expect("a valid id"));
        let noon = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let mut room = SessionRoom::new(60);
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
    }
}
