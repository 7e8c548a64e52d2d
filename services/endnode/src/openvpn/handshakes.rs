//! Whether handshakes that nobody finishes take the places of clients.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::control_socket::replies::{Handshake, Snapshot};
use crate::some_of::some_of;

/// Honest clients take a second or two, also those of another node that come all at once.
const FINISHED_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// OpenVPN cuts the beginning of a handshake to whole seconds: it may be younger by so much.
const TOLD_TO: TimeDelta = TimeDelta::seconds(1);
/// Looks so far apart find the same where it is no rush: that has gone by between them.
const STANDS_FOR: TimeDelta = TimeDelta::seconds(5);

/// What handshakes that nobody finishes do to a server, each with what to tell people and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// They leave no place to clients.
    Siege(String),
    /// They take many places. Clients still get in.
    Crowding(String),
}

/// Since when each look at a server has found that handshakes leave no place to clients. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Siege(Arc<Mutex<Option<DateTime<Utc>>>>);

impl Siege {
    /// What is to be told of a server with so many places. `None` is a look that saw nothing: the next one begins anew.
    pub(super) fn look(&self, seen: Option<(&Snapshot, u32)>) -> Option<Unfinished> {
        let full = seen.filter(|(snapshot, places)| is_full(snapshot, *places));
        let since = self.stands_since(full.map(|(snapshot, _)| snapshot.at));
        let (snapshot, places) = seen?;
        match since {
            Some(since) if since + STANDS_FOR <= snapshot.at => Some(siege(snapshot, places)),
            Some(_) | None => crowding(snapshot, places),
        }
    }

    /// With a look that found no place left at this moment, or found some.
    fn stands_since(&self, full_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The earlier one, unless the clock was set back.
        *since = full_at.map(|at| since.map_or(at, |first| first.min(at)));
        *since
    }
}

/// Whether handshakes take all places that clients leave, and these are a fiftieth of all: a server with fewer left is full of clients. It does not
/// matter how old each is: an attacker may give one up after a second and begin the next.
fn is_full(snapshot: &Snapshot, places: u32) -> bool {
    let (all, left) = (count(&snapshot.handshakes), left(snapshot, places));
    left > 0 && all >= left && all.saturating_mul(50) >= places
}

fn siege(snapshot: &Snapshot, places: u32) -> Unfinished {
    let all: Vec<&Handshake> = snapshot.handshakes.iter().collect();
    let taken = format!("{}, so that nobody else gets in", taken(snapshot, places));
    Unfinished::Siege(with_sources(&taken, &all))
}

/// That handshakes which have lasted for long take more than half of the places that clients leave, and a tenth of all. With fewer they may be
/// those of clients on bad links.
fn crowding(snapshot: &Snapshot, places: u32) -> Option<Unfinished> {
    let is_lasting = |handshake: &&Handshake| handshake.since + TOLD_TO + FINISHED_WITHIN < snapshot.at;
    let lasting: Vec<&Handshake> = snapshot.handshakes.iter().filter(is_lasting).collect();
    let lasts = count(&lasting);
    let is_told = lasts.saturating_mul(2) > left(snapshot, places) && lasts.saturating_mul(10) >= places;
    is_told.then(|| Unfinished::Crowding(with_sources(&taken(snapshot, places), &lasting)))
}

/// The places that clients leave.
fn left(snapshot: &Snapshot, places: u32) -> u32 {
    places.saturating_sub(snapshot.sessions)
}

fn taken(snapshot: &Snapshot, places: u32) -> String {
    let all = count(&snapshot.handshakes);
    format!("{all} of the {places} places for clients are taken by handshakes that nobody finishes")
}

fn with_sources(taken: &str, handshakes: &[&Handshake]) -> String {
    let from = some_of(&sources(handshakes));
    format!(
        "{taken}. Most come from {from}: let a firewall drop what these send, \
         unless a bad link of your users explains it"
    )
}

fn count<T>(handshakes: &[T]) -> u32 {
    u32::try_from(handshakes.len()).unwrap_or(u32::MAX)
}

/// Where they come from, each with how many, the most first.
fn sources(handshakes: &[&Handshake]) -> Vec<String> {
    let mut counted: BTreeMap<String, u32> = BTreeMap::new();
    for handshake in handshakes {
        *counted.entry(source(handshake.from)).or_default() += 1;
    }
    let mut counted: Vec<(String, u32)> = counted.into_iter().collect();
    counted.sort_by_key(|(_, times)| Reverse(*times));
    counted
        .into_iter()
        .map(|(source, times)| format!("{source} ({times})"))
        .collect()
}

/// One machine may have all addresses of an IPv6 /64.
fn source(from: Option<IpAddr>) -> String {
    match from {
        None => "addresses that OpenVPN does not tell".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn begun(from: &str, seconds_ago: i64) -> Handshake {
        Handshake {
            from: from.parse().ok(),
            since: NOW - TimeDelta::seconds(seconds_ago),
        }
    }

    fn snapshot(sessions: u32, handshakes: Vec<Handshake>) -> Snapshot {
        Snapshot {
            at: NOW,
            sessions,
            handshakes,
        }
    }

    /// What is told where a look five seconds before found the same.
    fn told(snapshot: &Snapshot, places: u32) -> Option<Unfinished> {
        let siege = Siege::default();
        let before = Snapshot {
            at: NOW - STANDS_FOR,
            ..snapshot.clone()
        };
        siege.look(Some((&before, places)));
        siege.look(Some((snapshot, places)))
    }

    fn is_siege(told: &Unfinished) -> bool {
        matches!(told, Unfinished::Siege(_))
    }

    #[test]
    fn what_takes_half_of_what_clients_leave_is_told_and_what_leaves_no_place_is_a_siege() {
        for (sessions, lasting, fresh, expected) in [
            (0, 50, 0, None),
            (0, 51, 0, Some(false)),
            (0, 51, 48, Some(false)),
            (0, 51, 49, Some(true)),
            (60, 20, 0, None),
            (60, 21, 0, Some(false)),
            (60, 40, 0, Some(true)),
            // Whoever begins others every few seconds lets none last.
            (0, 0, 99, None),
            (0, 0, 100, Some(true)),
            (90, 0, 10, Some(true)),
            // A server that honest clients fill.
            (99, 1, 0, None),
            (100, 0, 0, None),
        ] {
            // It may have begun up to a second later than OpenVPN says.
            let of = |times, ago| std::iter::repeat_n(begun("192.0.2.9", ago), times);
            let handshakes = of(lasting, 7).chain(of(fresh, 6)).collect();
            let told = told(&snapshot(sessions, handshakes), 100);
            assert_eq!(
                told.as_ref().map(is_siege),
                expected,
                "{sessions} and {lasting}, {fresh}"
            );
        }
    }

    #[test]
    fn a_rush_is_no_siege_and_what_stands_for_five_seconds_at_each_look_is() {
        let siege = Siege::default();
        let look = |second, times| {
            let at = NOW + TimeDelta::seconds(second);
            let young = Handshake {
                since: at,
                ..begun("192.0.2.9", 0)
            };
            let seen = Snapshot {
                at,
                sessions: 50,
                handshakes: vec![young; times],
            };
            siege.look(Some((&seen, 100))).as_ref().is_some_and(is_siege)
        };
        for (second, times, expected) in [
            (0, 50, false),
            (4, 50, false),
            // There was a place.
            (5, 49, false),
            (6, 50, false),
            (6, 50, false),
            (11, 50, true),
            (12, 50, true),
            (13, 49, false),
            (14, 50, false),
        ] {
            assert_eq!(look(second, times), expected, "{second} s: {times}");
        }
        assert_eq!(siege.look(None), None);
        assert!(!look(30, 50), "nothing is known of the time between");
        assert!(!look(10, 50), "the clock was set back");
        assert!(look(15, 50));
    }

    #[test]
    fn it_is_said_where_the_most_come_from_and_what_to_do() {
        let handshakes = vec![
            begun("192.0.2.1", 9),
            begun("2001:db8::1", 9),
            begun("2001:db8::2", 9),
            begun("not told", 9),
            begun("192.0.2.9", 9),
            begun("192.0.2.9", 0),
            begun("192.0.2.9", 0),
        ];
        let full = told(&snapshot(1, handshakes.clone()), 8).expect("told");
        let crowded = told(&snapshot(1, handshakes), 9).expect("told");

        let (Unfinished::Siege(full), Unfinished::Crowding(crowded)) = (full, crowded) else {
            panic!("one without a place left, and one with some")
        };
        assert_eq!(
            full,
            "7 of the 8 places for clients are taken by handshakes that nobody finishes, so that nobody else gets in. Most come from 192.0.2.9 (3), \
             2001:db8::/64 (2), 192.0.2.1 (1) and 1 more: let a firewall drop what these send, unless a bad link of your users explains it"
        );
        assert_eq!(
            crowded,
            "7 of the 9 places for clients are taken by handshakes that nobody finishes. Most come from 2001:db8::/64 (2), 192.0.2.1 (1), \
             192.0.2.9 (1) and 1 more: let a firewall drop what these send, unless a bad link of your users explains it"
        );
    }
}
