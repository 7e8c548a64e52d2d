//! How much room a node has in the audit trail. Entries that a node causes by what it sends share the trail with everybody's, and nothing
//! deletes them: so there is a bound on how many a node gets, for each action apart. A flood of one action crowds out no other.

use chrono::{DateTime, Utc};

use super::audit_action::AuditAction;

/// Actions that say how a node is doing, and not what was allowed or denied: they get a tenth.
const CHATTER: [AuditAction; 3] = [
    AuditAction::OpenvpnUp,
    AuditAction::OpenvpnDown,
    AuditAction::CommandUndecodable,
];

/// What was left of the room for one action of one node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Room {
    /// Entries; the part of one that has grown so far counts too.
    pub left: f64,
    /// When that was so.
    pub at: DateTime<Utc>,
}

/// How many entries with this action a node gets in an hour. `node_events` is the setting.
pub fn per_hour(action: AuditAction, node_events: u32) -> u32 {
    if CHATTER.contains(&action) {
        (node_events / 10).max(1)
    } else {
        node_events
    }
}

impl Room {
    /// The room of a node that has sent nothing for an hour.
    pub fn full(per_hour: u32, at: DateTime<Utc>) -> Self {
        Self {
            left: f64::from(per_hour),
            at,
        }
    }

    /// How many of `wanted` entries may be recorded at `now`, and what is left then. Room grows by `per_hour` in an hour, up to that: so a
    /// silent node may record the entries of an hour at once. A clock that goes back lets nothing grow.
    #[must_use]
    pub fn take(self, wanted: u32, per_hour: u32, now: DateTime<Utc>) -> (u32, Self) {
        self.take_of(per_hour, wanted, per_hour, now)
    }

    /// The same with room for `most` at once.
    #[must_use]
    pub fn take_of(self, most: u32, wanted: u32, per_hour: u32, now: DateTime<Utc>) -> (u32, Self) {
        let hours = (now - self.at).as_seconds_f64().max(0.0) / 3600.0;
        let left = (self.left.max(0.0) + hours * f64::from(per_hour)).min(f64::from(most));
        let whole = (1..=wanted.min(most)).take_while(|entries| f64::from(*entries) <= left);
        let granted = whole.last().unwrap_or(0);
        let after = Self {
            left: left - f64::from(granted),
            at: self.at.max(now),
        };
        (granted, after)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap()
    }

    #[test]
    fn room_is_used_up_and_grows_again_by_the_hour() {
        let room = Room::full(60, noon());
        let (granted, room) = room.take(100, 60, noon());
        assert_eq!((granted, room.left), (60, 0.0));
        assert_eq!(room.take(1, 60, noon()).0, 0);
        let (granted, room) = room.take(100, 60, noon() + TimeDelta::minutes(10));
        assert_eq!(granted, 10);
        assert_eq!(room.take(1, 60, noon() + TimeDelta::minutes(10)).0, 0);
    }

    #[test]
    fn parts_of_an_entry_add_up() {
        let mut room = Room { left: 0.0, at: noon() };
        let mut granted = 0;
        for second in 1..=3600 {
            let (some, after) = room.take(1, 60, noon() + TimeDelta::seconds(second));
            granted += some;
            room = after;
        }
        assert!((59..=60).contains(&granted), "{granted}");
    }

    #[test]
    fn no_clock_makes_more_than_an_hours_room() {
        let room = Room { left: 0.0, at: noon() };
        assert_eq!(room.take(1000, 60, noon() + TimeDelta::days(300_000)).0, 60);
        let (granted, after) = room.take(1000, 60, noon() - TimeDelta::days(1));
        assert_eq!((granted, after), (0, room));
        let odd = Room {
            left: f64::NAN,
            at: noon(),
        };
        assert_eq!(odd.take(5, 60, noon()).0, 0);
    }

    #[test]
    fn chatter_gets_less_and_never_nothing() {
        assert_eq!(per_hour(AuditAction::SessionsCut, 600), 600);
        assert_eq!(per_hour(AuditAction::OpenvpnUp, 600), 60);
        assert_eq!(per_hour(AuditAction::OpenvpnUp, 1), 1);
    }
}
