//! Which sessions end when a user is connected with more devices at the same time than she, or her group, is allowed.
//!
//! A device counts once, over the whole fleet. But two sessions of one device need not be two machines with one profile: a client that moves to
//! another node without a goodbye leaves a session behind, which its old node has until it misses its pings (14 s on a managed node with the
//! default of `OPENVPN_KEEPALIVE`), and tells of until then. So of the sessions of a device the newest counts. An older one counts beside it
//! once both have been there for [`SETTLED_AFTER`], and it is the first to end, whatever the group says of the others: on one node OpenVPN does
//! the same with two sessions of a credential. So nobody who moves is thrown out by what he left behind.
//!
//! What is newer, and for how long a session has been there, is said by when management first recorded it, by the clock of the database. The
//! clocks of the nodes differ, and whoever has a node sets its clock: by them a session that lives would end for one that was left behind, or
//! those of one node before all others. How often a node tells of a session is no matter.

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::group::SessionExcess;
use vpnmanager_nats::device::DeviceName;

use super::session_id::SessionId;

/// How long two sessions of a device may both be there before the older one counts: longer than a managed node takes by default to miss a
/// client (`OPENVPN_KEEPALIVE` of `1 7`, for which OpenVPN waits 14 s) and to tell of it. Management does not know what a node has. Where it is
/// longer, a session that was left behind may count, and is then the first to end: nobody is on it.
pub const SETTLED_AFTER: TimeDelta = TimeDelta::seconds(20);

/// What a user is allowed, by her own limits or by her group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The most devices at the same time, at least 1.
    pub devices: usize,
    /// Which end beyond that.
    pub excess: SessionExcess,
}

/// A session of the user that lives, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// The session.
    pub id: SessionId,
    /// The device of its credential.
    pub device: DeviceName,
    /// When it was first recorded, by the clock of the database. Sessions that were recorded together are in the order of their starts.
    pub first_recorded_at: DateTime<Utc>,
}

/// The sessions of one user that end. `now` is by the clock of the database. Whoever asks again before they have ended gets the same ones.
pub fn beyond(sessions: &[OpenSession], limit: Limit, now: DateTime<Utc>) -> Vec<&OpenSession> {
    let mut newest_first: Vec<&OpenSession> = sessions.iter().collect();
    newest_first.sort_by_key(|&session| (Reverse(session.first_recorded_at), &session.id));
    let (mut current, mut settled) = (Vec::new(), Vec::new());
    let mut newest: BTreeMap<&DeviceName, DateTime<Utc>> = BTreeMap::new();
    for session in newest_first {
        match newest.get(&session.device) {
            None => {
                newest.insert(&session.device, session.first_recorded_at);
                current.push(session);
            }
            Some(there_since) if now - *there_since >= SETTLED_AFTER => settled.push(session),
            Some(_) => {}
        }
    }
    let excess = (current.len() + settled.len()).saturating_sub(limit.devices);
    let mut ends: Vec<&OpenSession> = settled.into_iter().rev().take(excess).collect();
    let rest = excess - ends.len();
    match limit.excess {
        SessionExcess::OldestEnds => ends.extend(current.into_iter().rev().take(rest)),
        SessionExcess::NewestEnds => ends.extend(current.into_iter().take(rest)),
    }
    ends
}

#[cfg(test)]
mod tests {
    use vpnmanager_entities::group::SessionExcess::{NewestEnds, OldestEnds};

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
    }

    fn ago(seconds: i64) -> DateTime<Utc> {
        now() - TimeDelta::seconds(seconds)
    }

    /// A session that began so many seconds ago, and was recorded then.
    fn session(node: &str, device: &str, began: i64) -> OpenSession {
        let node = node.parse().expect("a valid id");
        OpenSession {
            id: SessionId::new(node, ago(began), 7).expect("a session"),
            device: device.parse().expect("the name of a device"),
            first_recorded_at: ago(began),
        }
    }

    /// Which of the sessions end, by the seconds since they began.
    fn ends(devices: usize, excess: SessionExcess, sessions: &[OpenSession]) -> Vec<i64> {
        let limit = Limit { devices, excess };
        let mut ended: Vec<i64> = beyond(sessions, limit, now())
            .into_iter()
            .map(|session| (now() - session.id.since).num_seconds())
            .collect();
        ended.sort_unstable();
        ended
    }

    #[test]
    fn beyond_the_limit_the_oldest_or_the_newest_devices_end() {
        let sessions = [
            session("node-1", "laptop", 300),
            session("node-2", "phone", 200),
            session("node-1", "tablet", 100),
        ];
        for (devices, excess, expected) in [
            (3, OldestEnds, vec![]),
            (3, NewestEnds, vec![]),
            (2, OldestEnds, vec![300]),
            (2, NewestEnds, vec![100]),
            (1, OldestEnds, vec![200, 300]),
            (1, NewestEnds, vec![100, 200]),
        ] {
            assert_eq!(ends(devices, excess, &sessions), expected, "{devices} {excess:?}");
        }
        assert!(ends(1, OldestEnds, &[]).is_empty());
    }

    #[test]
    fn what_a_client_that_moves_leaves_behind_counts_for_nothing() {
        let moved = [session("node-1", "laptop", 300), session("node-2", "laptop", 3)];
        let beside = [moved.as_slice(), &[session("node-1", "phone", 100)]].concat();
        for excess in [OldestEnds, NewestEnds] {
            assert!(ends(1, excess, &moved).is_empty(), "{excess:?}");
            assert!(ends(2, excess, &beside).is_empty(), "{excess:?}");
        }
        // The phone is one too many, or the laptop, which came last; never what was left behind.
        assert_eq!(ends(1, OldestEnds, &beside), [100]);
        assert_eq!(ends(1, NewestEnds, &beside), [3]);
    }

    #[test]
    fn two_machines_with_one_profile_count_twice_once_both_have_stayed_and_the_older_one_ends_first() {
        let settled = SETTLED_AFTER.num_seconds();
        let shared = [session("node-1", "laptop", 300), session("node-2", "laptop", settled)];
        let beside = [shared.as_slice(), &[session("node-1", "phone", 400)]].concat();
        for excess in [OldestEnds, NewestEnds] {
            assert_eq!(ends(1, excess, &shared), [300], "{excess:?}");
            assert!(ends(2, excess, &shared).is_empty(), "{excess:?}");
            assert_eq!(ends(2, excess, &beside), [300], "{excess:?}");
            assert!(ends(3, excess, &beside).is_empty(), "{excess:?}");
        }
        assert_eq!(ends(1, OldestEnds, &beside), [300, 400]);
        assert_eq!(ends(1, NewestEnds, &beside), [settled, 300]);
    }

    #[test]
    fn the_clock_of_a_node_decides_nothing() {
        let recorded = |seconds, session| OpenSession {
            first_recorded_at: ago(seconds),
            ..session
        };
        // The first node is six minutes ahead, or the second one behind: by their clocks the laptop is the newer one.
        let apart = [
            recorded(300, session("node-1", "laptop", -60)),
            recorded(100, session("node-2", "phone", 460)),
        ];
        assert_eq!(ends(1, OldestEnds, &apart), [-60]);
        assert_eq!(ends(1, NewestEnds, &apart), [460]);
        // A client that moved to the second node.
        let moved = |seconds| {
            [
                recorded(300, session("node-1", "laptop", 300)),
                recorded(seconds, session("node-2", "laptop", 460)),
            ]
        };
        let settled = SETTLED_AFTER.num_seconds();
        for excess in [OldestEnds, NewestEnds] {
            assert!(ends(1, excess, &moved(settled - 1)).is_empty(), "{excess:?}");
            assert_eq!(ends(1, excess, &moved(settled)), [300], "{excess:?}");
        }
    }

    #[test]
    fn sessions_that_were_recorded_together_are_in_the_order_of_their_starts() {
        let together = |began, session| OpenSession {
            first_recorded_at: ago(began),
            ..session
        };
        // As those of before the column have it.
        let sessions = [
            together(30, session("node-1", "laptop", 200)),
            together(30, session("node-2", "phone", 300)),
            together(30, session("node-3", "laptop", 100)),
        ];
        assert_eq!(ends(2, OldestEnds, &sessions), [200]);
        assert_eq!(ends(1, OldestEnds, &sessions), [200, 300]);
        assert_eq!(ends(1, NewestEnds, &sessions), [100, 200]);
    }

    #[test]
    fn a_client_that_reconnects_on_its_node_counts_once() {
        let mut again = session("node-1", "laptop", 2);
        again.id.cid = 8;
        let sessions = [session("node-1", "laptop", 300), again];
        assert!(ends(1, OldestEnds, &sessions).is_empty());
        assert!(ends(1, NewestEnds, &sessions).is_empty());
    }
}
