//! The health of several OpenVPNs as that of one server. Pure.

use std::iter;

use vpnmanager_nats::listeners::Listener;

use crate::{
    backend::{BackendHealth, BackendState},
    faults::all_of,
};

/// What one server tells.
#[derive(Debug, Clone)]
pub(super) struct ServerHealth {
    /// What clients dial.
    pub(super) listener: Listener,
    /// How it is, without the siege.
    pub(super) health: BackendHealth,
    /// What to tell of handshakes that leave no place to clients.
    pub(super) siege: Option<String>,
}

/// The health of all of a node.
pub(super) fn joint_health(servers: Vec<ServerHealth>) -> BackendHealth {
    joined(with_sieges(servers))
}

/// A siege is a fault where all that serve are under one. Where one of them is open it is only worth knowing: over TCP a stranger without a profile
/// can lay it, and would keep users from the whole node.
fn with_sieges(servers: Vec<ServerHealth>) -> Vec<(Listener, BackendHealth)> {
    let serves = |server: &ServerHealth| server.health.state == BackendState::Up;
    let is_open = servers.iter().any(|server| serves(server) && server.siege.is_none());
    let settled = servers.into_iter().map(|server| {
        let ServerHealth {
            listener,
            health,
            siege,
        } = server;
        let health = match (siege, is_open) {
            (None, _) => health,
            (Some(siege), true) => beside_detail(siege, health),
            (Some(siege), false) => BackendHealth {
                fault: all_of([health.fault, Some(siege)]),
                ..health
            },
        };
        (listener, health)
    });
    settled.collect()
}

/// First, so that it stays where the detail is cut.
fn beside_detail(siege: String, health: BackendHealth) -> BackendHealth {
    let detail = match health.detail.as_str() {
        "" => siege,
        detail => format!("{siege}; {detail}"),
    };
    BackendHealth { detail, ..health }
}

/// It serves as long as one of them does, and what the others lack is its fault; one that starts lacks something while it fails, so that the
/// fault does not come and go with each try. Where one is nearly full that is said: in the sum of all it would
/// not be seen. One alone is as it is.
fn joined(mut servers: Vec<(Listener, BackendHealth)>) -> BackendHealth {
    let states = servers.iter().map(|(_, health)| health.state);
    let state = states.max_by_key(|state| worth(*state)).unwrap_or(BackendState::Absent);
    if servers.len() == 1
        && let Some((_, health)) = servers.pop()
    {
        return health;
    }
    let lacks = |health: &BackendHealth| state == BackendState::Up && is_lacking(health);
    let faults = servers.iter().flat_map(|(listener, health)| {
        let lack = lacks(health).then_some(&health.detail);
        lack.into_iter()
            .chain(&health.fault)
            .map(move |fault| (*listener, fault.as_str()))
    });
    let details = servers.iter().filter(|(_, health)| !lacks(health));
    let details = details.map(|(listener, health)| (*listener, health.detail.as_str()));
    let details = iter::once(said(details.collect(), servers.len()));
    let details = details.filter(|details| !details.is_empty());
    let details: Vec<String> = details.chain(servers.iter().filter_map(crowd)).collect();
    let leading = servers.iter().find(|(_, health)| health.state == state);
    let leading = leading.map(|(_, health)| health);
    let whole = BackendHealth {
        pid: leading.and_then(|health| health.pid),
        version: leading.and_then(|health| health.version.clone()),
        since: leading.and_then(|health| health.since),
        oldest_since: servers.iter().filter_map(|(_, health)| health.oldest_since).min(),
        is_partly_down: servers.iter().any(|(_, health)| lacks(health)),
        fault: Some(said(faults.collect(), servers.len())).filter(|fault| !fault.is_empty()),
        ..BackendHealth::bare(state, details.join("; "))
    };
    servers.iter().fold(whole, |whole, (_, health)| BackendHealth {
        sessions: whole.sessions.saturating_add(health.sessions),
        capacity: whole.capacity.saturating_add(health.capacity),
        bytes_in: whole.bytes_in.saturating_add(health.bytes_in),
        bytes_out: whole.bytes_out.saturating_add(health.bytes_out),
        restarts: whole.restarts.saturating_add(health.restarts),
        is_failing: whole.is_failing || health.is_failing,
        ..whole
    })
}

/// Which state of one is that of all: one that serves counts, and then one that is about to.
fn worth(state: BackendState) -> u8 {
    match state {
        BackendState::Up => 4,
        BackendState::Starting => 3,
        BackendState::Down => 2,
        BackendState::Stopped => 1,
        BackendState::Absent => 0,
    }
}

/// Whether one should serve and does not, and is no start that was wanted either.
fn is_lacking(health: &BackendHealth) -> bool {
    match health.state {
        BackendState::Down => true,
        BackendState::Starting => health.is_failing,
        BackendState::Up | BackendState::Stopped | BackendState::Absent => false,
    }
}

/// How many clients one has, if nine tenths of those that fit are there.
fn crowd((listener, health): &(Listener, BackendHealth)) -> Option<String> {
    let BackendHealth { sessions, capacity, .. } = health;
    let is_nearly_full = *capacity > 0 && u64::from(*sessions) * 10 >= u64::from(*capacity) * 9;
    is_nearly_full.then(|| format!("{listener}: {sessions} of {capacity} clients"))
}

/// What is said of each, with its listener. What is said of all these `servers` is said once.
fn said(of_each: Vec<(Listener, &str)>, servers: usize) -> String {
    let mut texts = of_each.iter().map(|(_, text)| *text);
    if let Some(first) = texts.next()
        && of_each.len() == servers
        && texts.all(|text| text == first)
    {
        return first.to_owned();
    }
    let texts = of_each.iter().filter(|(_, text)| !text.is_empty());
    let texts: Vec<String> = texts.map(|(listener, text)| format!("{listener}: {text}")).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [BackendState; 5] = [
        BackendState::Up,
        BackendState::Starting,
        BackendState::Down,
        BackendState::Stopped,
        BackendState::Absent,
    ];

    fn listeners() -> [Listener; 2] {
        ["udp:1194", "tcp:443"].map(|text| text.parse().expect("a listener"))
    }

    fn health(state: BackendState, detail: &str) -> BackendHealth {
        BackendHealth {
            sessions: 3,
            capacity: 100,
            bytes_in: 10,
            bytes_out: 20,
            restarts: 1,
            is_failing: true,
            ..BackendHealth::bare(state, detail)
        }
    }

    fn joint(one: BackendHealth, other: BackendHealth) -> BackendHealth {
        joined(listeners().into_iter().zip([one, other]).collect())
    }

    #[test]
    fn one_alone_is_as_it_is() {
        let [udp, _] = listeners();
        for state in STATES {
            let alone = BackendHealth {
                pid: Some(7),
                fault: Some("a closed folder".to_owned()),
                ..health(state, "older server.conf")
            };
            assert_eq!(joined(vec![(udp, alone.clone())]), alone);
        }
    }

    #[test]
    fn a_node_serves_as_long_as_one_does_and_what_the_other_lacks_is_its_fault() {
        let up = BackendHealth {
            pid: Some(7),
            version: Some("2.6.14".to_owned()),
            ..health(BackendState::Up, "")
        };
        let down = health(BackendState::Down, "it died");
        for (whole, lacking) in [
            (joint(up.clone(), down.clone()), "tcp:443: it died"),
            (joint(down, up), "udp:1194: it died"),
        ] {
            assert_eq!((whole.state, whole.detail.as_str()), (BackendState::Up, ""));
            assert_eq!((whole.fault.as_deref(), whole.is_partly_down), (Some(lacking), true));
            assert_eq!((whole.pid, whole.version.as_deref()), (Some(7), Some("2.6.14")));
            assert_eq!((whole.sessions, whole.capacity, whole.restarts), (6, 200, 2));
            assert_eq!((whole.bytes_in, whole.bytes_out), (20, 40));
        }
    }

    #[test]
    fn one_that_is_tried_again_is_lacking_at_each_moment_until_it_serves() {
        let whole = |state, detail: &str| joint(health(BackendState::Up, ""), health(state, detail));
        for state in [BackendState::Down, BackendState::Starting] {
            let whole = whole(state, "it died");
            assert_eq!(
                (whole.state, whole.detail.as_str()),
                (BackendState::Up, ""),
                "{state:?}"
            );
            assert_eq!(whole.fault.as_deref(), Some("tcp:443: it died"), "{state:?}");
        }
        assert_eq!(whole(BackendState::Up, "").fault, None);
    }

    #[test]
    fn a_listener_that_is_nearly_full_is_named_although_the_node_has_room() {
        let with = |sessions, capacity, detail: &str| BackendHealth {
            sessions,
            capacity,
            ..health(BackendState::Up, detail)
        };
        for (one, other, detail) in [
            (with(89, 100, ""), with(0, 100, ""), ""),
            (with(90, 100, ""), with(0, 100, ""), "udp:1194: 90 of 100 clients"),
            (with(5, 1000, ""), with(1000, 1000, ""), "tcp:443: 1000 of 1000 clients"),
            (
                with(5, 5, ""),
                with(5, 5, ""),
                "udp:1194: 5 of 5 clients; tcp:443: 5 of 5 clients",
            ),
            (
                with(5, 5, "older server.conf"),
                with(0, 5, "older server.conf"),
                "older server.conf; udp:1194: 5 of 5 clients",
            ),
            (with(7, 0, ""), with(0, 0, ""), ""),
        ] {
            let whole = joint(one, other);
            assert_eq!((whole.detail.as_str(), whole.fault), (detail, None));
        }
        let [udp, _] = listeners();
        assert_eq!(joined(vec![(udp, with(100, 100, ""))]).detail, "", "the sum says it");
    }

    #[test]
    fn a_siege_of_one_listener_is_worth_knowing_and_one_of_all_that_serve_is_a_fault() {
        let under = |siege: Option<&str>, health: BackendHealth, listener| ServerHealth {
            listener,
            health,
            siege: siege.map(str::to_owned),
        };
        let [udp, tcp] = listeners();
        let up = |detail| health(BackendState::Up, detail);
        for (one, other, detail, fault) in [
            (
                under(Some("full"), up(""), udp),
                under(None, up(""), tcp),
                "udp:1194: full",
                None,
            ),
            (
                under(None, up(""), udp),
                under(Some("full"), up("older server.conf"), tcp),
                "tcp:443: full; older server.conf",
                None,
            ),
            (
                under(Some("full"), up(""), udp),
                under(Some("full too"), up(""), tcp),
                "",
                Some("udp:1194: full; tcp:443: full too"),
            ),
            (
                under(Some("full"), up(""), udp),
                under(None, health(BackendState::Down, "it died"), tcp),
                "",
                Some("udp:1194: full; tcp:443: it died"),
            ),
        ] {
            let whole = joint_health(vec![one, other]);
            assert_eq!((whole.detail.as_str(), whole.fault.as_deref()), (detail, fault));
        }
        let faulty = BackendHealth {
            fault: Some("a fault".to_owned()),
            ..up("older server.conf")
        };
        let alone = joint_health(vec![under(Some("full"), faulty, udp)]);
        assert_eq!(
            (alone.detail.as_str(), alone.fault.as_deref()),
            ("older server.conf", Some("a fault; full"))
        );
    }

    #[test]
    fn what_is_worth_knowing_of_one_is_said_with_its_listener_and_what_holds_of_both_is_said_once() {
        for (one, other, expected, detail) in [
            (
                health(BackendState::Up, ""),
                health(BackendState::Up, "older server.conf"),
                BackendState::Up,
                "tcp:443: older server.conf",
            ),
            (
                health(BackendState::Up, ""),
                BackendHealth {
                    is_failing: false,
                    ..health(BackendState::Starting, "starting")
                },
                BackendState::Up,
                "tcp:443: starting",
            ),
            (
                health(BackendState::Starting, "starting"),
                health(BackendState::Down, "it died"),
                BackendState::Starting,
                "udp:1194: starting; tcp:443: it died",
            ),
            (
                health(BackendState::Down, "the port is used"),
                health(BackendState::Down, "it died"),
                BackendState::Down,
                "udp:1194: the port is used; tcp:443: it died",
            ),
            (
                health(BackendState::Stopped, "this node does not serve"),
                health(BackendState::Stopped, "this node does not serve"),
                BackendState::Stopped,
                "this node does not serve",
            ),
        ] {
            let whole = joint(one, other);
            assert_eq!((whole.state, whole.detail.as_str()), (expected, detail));
            assert_eq!((whole.fault, whole.is_partly_down), (None, false));
        }
    }
}
