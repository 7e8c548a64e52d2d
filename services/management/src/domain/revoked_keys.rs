//! How the revoked bus keys of nodes are told to the bus, whose list has an end. Pure.
//!
//! A credential of a node has no end of its own, so no revocation is ever without use. But one entry of the list can refuse whatever was issued
//! until a time, to any key. It may stand for all revocations of before that time as soon as every node has a credential from after it.

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::bus_revocation;
use vpnmanager_nats::{ids::NodeId, security::revocations::Revocations};

/// As far ahead of the database a credential may be issued: by a clock that is ahead of that one, or because its key was revoked a moment before.
pub const ISSUED_AHEAD: TimeDelta = TimeDelta::minutes(10);
/// With fewer keys than these each is told by itself, whatever its age.
const SHORT: usize = 1_000;
/// As far as the clocks may be apart by which credentials were issued, keys revoked, and nodes recorded.
const CLOCKS_APART: TimeDelta = TimeDelta::days(1);
/// From so many keys on that must be told one by one, somebody should do something: that is before there is no room.
const MANY: usize = 5_000;

/// A node that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Since when it has had the key that it has: it was issued nothing for that key before.
    pub key_since: DateTime<Utc>,
}

/// How revoked keys are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// All credentials that were issued until then are refused; `None` if no keys are told as one.
    pub until: Option<DateTime<Utc>>,
    /// The keys that are told one by one.
    pub one_by_one: Vec<bus_revocation::Model>,
    /// The nodes, those that have had their keys for longest first.
    pub oldest: Vec<NodeId>,
}

/// Tells those keys as one that were revoked before any member was issued the credential that it has. That refuses them as before, because what
/// they were issued is older than their revocation.
pub fn tell(revoked: Vec<bus_revocation::Model>, members: &[Member], now: DateTime<Utc>) -> Told {
    let mut ages: Vec<(DateTime<Utc>, NodeId)> = members
        .iter()
        .map(|member| (member.key_since, member.node.clone()))
        .collect();
    ages.sort_unstable();
    // The next node may enrol at this moment.
    let oldest = ages.first().map_or(now, |(since, _)| *since).min(now);
    let is_long = revoked.len() >= SHORT;
    let (as_one, one_by_one): (Vec<_>, Vec<_>) = revoked
        .into_iter()
        .partition(|row| is_long && row.revoked_at < oldest - CLOCKS_APART);
    Told {
        until: as_one.iter().map(|row| row.revoked_at).max(),
        one_by_one,
        oldest: ages.into_iter().map(|(_, node)| node).collect(),
    }
}

/// What to tell people of so many keys that must be told one by one.
pub fn shortage(one_by_one: usize) -> Option<String> {
    (one_by_one >= MANY).then(|| {
        format!(
            "the bus is told {one_by_one} revoked keys of nodes one by one and has room for {}: with more of them no node can be taken out of the \
             fleet, nor get another key. The log of management names the nodes whose own keys are the oldest: enrol these again, with a new node.nk",
            Revocations::MOST_KEYS
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(days)
    }

    fn revoked(key: impl ToString, node: &str, day: i64) -> bus_revocation::Model {
        bus_revocation::Model {
            public_key: key.to_string(),
            server_id: node.to_owned(),
            revoked_at: days(day),
        }
    }

    /// A long list of keys of nodes that are gone, one a day.
    fn long() -> Vec<bus_revocation::Model> {
        let days = 1..=1000;
        days.map(|day| revoked(day, &format!("gone-{day}"), day)).collect()
    }

    fn member(node: &str, day: i64) -> Member {
        Member {
            node: node.parse().expect("a name"),
            key_since: days(day),
        }
    }

    fn told(revoked: &[bus_revocation::Model], members: &[Member]) -> (Option<DateTime<Utc>>, usize) {
        let told = tell(revoked.to_vec(), members, days(2000));
        (told.until, told.one_by_one.len())
    }

    #[test]
    fn what_was_revoked_before_every_credential_of_the_fleet_is_told_as_one() {
        let list = long();
        for (members, until, one_by_one) in [
            (vec![member("n1", 1500)], Some(1000), 0),
            (vec![member("n1", 1500), member("n2", 701)], Some(699), 301),
            (vec![member("n1", 1)], None, 1000),
            // Nobody is there, and a member whose time the future has.
            (vec![], Some(1000), 0),
            (vec![member("n1", 3000)], Some(1000), 0),
        ] {
            assert_eq!(told(&list, &members), (until.map(days), one_by_one), "{members:?}");
        }
        assert_eq!(told(&list[1..], &[]), (None, 999), "a short list");
    }

    #[test]
    fn a_time_that_is_yet_to_come_refuses_nobody_who_comes_before_it() {
        let mut list = long();
        list.push(revoked("odd", "gone-odd", 9000));
        assert_eq!(told(&list, &[]), (Some(days(1000)), 1));
        assert_eq!(told(&list, &[member("gone-odd", 5)]), (Some(days(3)), 998));
    }

    /// Not even a revocation of the key that it had before says when it got the one that it has.
    #[test]
    fn a_member_is_as_old_as_its_key_whatever_was_revoked_in_its_name() {
        let mut list = long();
        list.push(revoked("its first", "n1", 900));
        list.push(revoked("a copy that came late", "n1", 960));

        let told = tell(list, &[member("n2", 950), member("n1", 10)], days(2000));

        assert_eq!(told.until, Some(days(8)));
        assert_eq!(told.one_by_one.len(), 994);
        assert_eq!(told.oldest, ["n1", "n2"]);
    }

    /// Whoever was out stays out, and whoever is in stays in, whatever the list and the members are.
    #[test]
    fn no_revoked_credential_is_good_again_and_no_member_is_refused() {
        for oldest in [2, 3, 400, 999, 1001, 1999] {
            let list = long();
            let members = [member("n1", oldest), member("n2", 1990)];
            let told = tell(list.clone(), &members, days(2000));
            for row in list {
                // The last that it can have been issued.
                let issued = row.revoked_at;
                let as_one = told.until.is_some_and(|until| issued <= until);
                assert!(as_one || told.one_by_one.contains(&row), "{oldest}: {row:?}");
            }
            for member in &members {
                let issued = member.key_since - CLOCKS_APART;
                assert!(told.until.is_none_or(|until| issued > until), "{oldest}: {member:?}");
            }
        }
    }

    #[test]
    fn a_list_that_grows_long_is_told_of_before_there_is_no_room() {
        assert_eq!(shortage(4_999), None);
        let text = shortage(5_000).expect("told");
        assert!(text.contains(" 5000 ") && text.contains("room for 11000"), "{text}");
    }
}
