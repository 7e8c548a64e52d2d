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
    /// The same where traffic counts against a quota. An agent tells of it every five seconds.
    pub metered: TimeDelta,
    /// How many such writes that come within [`Self::progress`] of the one before a node may cause at once, after a silent time.
    pub metered_at_once: u32,
    /// In each hour.
    pub metered_per_hour: u32,
}

/// Of each node. A row takes some 600 bytes with its indexes (measured), so a thief with one node adds 280 MB a day.
///
/// How far a session is adds no row and touches no index, so a disk does not fill however often it is written. What it costs is writing: so only
/// sessions of members of a group with a quota are written every few seconds, which a node does not choose, and a thousand a second at most. That is
/// what a node has to tell with 5,000 of them who all transfer without a pause. Beyond that they are written once a minute, as all others.
pub const PACE: Pace = Pace {
    at_once: 220_000,
    per_hour: 20_000,
    progress: TimeDelta::seconds(60),
    metered: TimeDelta::seconds(4),
    metered_at_once: 10_000,
    metered_per_hour: 3_600_000,
};

/// The room of each node, as one replica counts it.
#[derive(Debug)]
pub struct SessionRoom {
    pace: Pace,
    begins: HashMap<NodeId, Room>,
    metered: HashMap<NodeId, Room>,
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
            begins: HashMap::new(),
            metered: HashMap::new(),
        }
    }

    /// The pace of every node.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// How many of `wanted` sessions the node may begin at `now`.
    pub fn allows(&self, node: &NodeId, wanted: u32, now: DateTime<Utc>) -> u32 {
        let (allowed, _after) = self.begin(node, wanted, now);
        allowed
    }

    /// Notes that the node began so many, which it was allowed.
    pub fn spend(&mut self, node: &NodeId, began: u32, now: DateTime<Utc>) {
        let (_spent, after) = self.begin(node, began, now);
        self.begins.insert(node.clone(), after);
    }

    /// How many of `wanted` sessions whose traffic counts against a quota may be written within a minute of the write before, at `now`.
    pub fn allows_metered(&self, node: &NodeId, wanted: u32, now: DateTime<Utc>) -> u32 {
        let (allowed, _after) = self.meter(node, wanted, now);
        allowed
    }

    /// Notes that so many were written.
    pub fn spend_metered(&mut self, node: &NodeId, written: u32, now: DateTime<Utc>) {
        let (_spent, after) = self.meter(node, written, now);
        self.metered.insert(node.clone(), after);
    }

    fn begin(&self, node: &NodeId, sessions: u32, now: DateTime<Utc>) -> (u32, Room) {
        let Pace { at_once, per_hour, .. } = self.pace;
        take(self.begins.get(node), (at_once, per_hour), sessions, now)
    }

    fn meter(&self, node: &NodeId, sessions: u32, now: DateTime<Utc>) -> (u32, Room) {
        let Pace {
            metered_at_once,
            metered_per_hour,
            ..
        } = self.pace;
        take(
            self.metered.get(node),
            (metered_at_once, metered_per_hour),
            sessions,
            now,
        )
    }
}

fn take(known: Option<&Room>, (at_once, per_hour): (u32, u32), sessions: u32, now: DateTime<Utc>) -> (u32, Room) {
    let room = known.copied().unwrap_or_else(|| Room::full(at_once, now));
    room.take_of(at_once, sessions, per_hour, now)
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
    #[test]
    fn what_counts_against_a_quota_is_written_a_thousand_times_a_second_at_most() {
        let node: NodeId = "node-1".parse().expect("a valid id");
        let noon = DateTime::from_timestamp(1_795_000_000, 0).expect("a time");
        let mut room = SessionRoom::default();
        assert_eq!(room.allows_metered(&node, 20_000, noon), 10_000);
        room.spend_metered(&node, 10_000, noon);
        assert_eq!(room.allows_metered(&node, 1, noon), 0);
        assert_eq!(room.allows_metered(&node, 20_000, noon + TimeDelta::seconds(3)), 3_000);
        assert_eq!(room.allows(&node, 5, noon), 5, "it begins sessions all the same");
    }
}
