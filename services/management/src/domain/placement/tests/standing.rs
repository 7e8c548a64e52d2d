//! What is asked of one node: whether it takes users, is given up, or returns, and whether others take its clients.

use super::*;

#[test]
fn which_nodes_take_users_and_inherit() {
    let now = Utc::now();
    let with = |change: fn(&mut server::Model)| {
        let mut server = server("n");
        change(&mut server);
        server
    };
    // (node, takes users, open, may inherit)
    let cases = [
        ("well", server("n"), [true, true, true]),
        ("disabled", with(|node| node.enabled = false), [false; 3]),
        ("draining", with(|node| node.draining = true), [false; 3]),
        (
            "leaving",
            with(|node| node.leaving_since = Some(Utc::now())),
            [false; 3],
        ),
        ("lost", lost("n", now), [true, false, false]),
        (
            "degraded",
            with(|node| node.state = NodeState::Degraded),
            [true, true, false],
        ),
        (
            "resyncing",
            with(|node| node.resync_since = Some(Utc::now())),
            [true, true, false],
        ),
        ("never synced", with(|node| node.last_sync = None), [true, true, false]),
    ];
    for (what, server, expected) in cases {
        let found = [takes_users(&server), is_open(&server), may_inherit(&server)];
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_node_is_given_up_after_its_silence_while_another_one_of_its_pool_was_heard() {
    let now = Utc::now();
    let ago = |minutes| now - TimeDelta::minutes(minutes);
    let heard = |state, minutes| server::Model {
        state,
        heard_since: Some(ago(minutes)),
        ..server("other")
    };
    let elsewhere = server::Model {
        pool: "elsewhere".to_owned(),
        ..server("other")
    };
    let unknown = server::Model {
        heard_since: None,
        ..server("other")
    };
    let long_lost = lost("n", ago(60));
    // (what, the node, the others, whether it is given up after five minutes)
    let cases = [
        (
            "silent while another one spoke",
            &long_lost,
            vec![heard(NodeState::Healthy, 90)],
            true,
        ),
        (
            "the other one is ill",
            &long_lost,
            vec![heard(NodeState::Degraded, 90)],
            true,
        ),
        (
            "lost a moment ago",
            &lost("n", ago(4)),
            vec![heard(NodeState::Healthy, 90)],
            false,
        ),
        ("it is there", &server("n"), vec![heard(NodeState::Healthy, 90)], false),
        (
            "all were away, and one returned",
            &long_lost,
            vec![heard(NodeState::Healthy, 4)],
            false,
        ),
        (
            "it did not follow",
            &long_lost,
            vec![heard(NodeState::Healthy, 6)],
            true,
        ),
        (
            "the first of those that speak counts",
            &long_lost,
            vec![heard(NodeState::Healthy, 1), heard(NodeState::Healthy, 6)],
            true,
        ),
        (
            "the others are silent too",
            &long_lost,
            vec![heard(NodeState::Lost, 90), heard(NodeState::Stale, 90)],
            false,
        ),
        ("those of another pool do not count", &long_lost, vec![elsewhere], false),
        (
            "nobody knows since when the other one is heard",
            &long_lost,
            vec![unknown],
            false,
        ),
        ("it is alone", &long_lost, Vec::new(), false),
    ];
    for (what, node, mut others, expected) in cases {
        others.push(node.clone());
        assert_eq!(fleet(&others).is_given_up(node, ago(5)), expected, "{what}");
    }
}

#[test]
fn a_lost_node_returns_once_it_is_healthy_has_synced_since_and_is_not_behind() {
    let now = Utc::now();
    let (before, after) = (now - TimeDelta::hours(1), now + TimeDelta::hours(1));
    let back = server::Model {
        lost_since: Some(now),
        last_sync: Some(after),
        ..server("n")
    };
    let with = |change: fn(&mut server::Model)| {
        let mut node = back.clone();
        change(&mut node);
        node
    };
    let unsynced = server::Model {
        last_sync: Some(before),
        ..back.clone()
    };
    // (node, complete, behind, returned)
    let cases = [
        ("back", back.clone(), true, false, true),
        ("behind", back.clone(), true, true, false),
        ("not complete", back.clone(), false, false, false),
        ("not synced since", unsynced, true, false, false),
        (
            "degraded",
            with(|node| node.state = NodeState::Degraded),
            true,
            false,
            false,
        ),
        (
            "getting everything again",
            with(|node| node.resync_since = Some(Utc::now())),
            true,
            false,
            false,
        ),
        ("never lost", with(|node| node.lost_since = None), true, false, false),
    ];
    for (what, server, complete, behind, expected) in cases {
        let returning = Returning {
            server: &server,
            complete,
            behind,
        };
        assert_eq!(has_returned(returning), expected, "{what}");
    }
}

#[test]
fn the_clients_of_a_node_go_to_one_that_is_open_was_in_sync_and_serves_if_theirs_does() {
    use OpenvpnState::{Absent, Down, Up, Waiting};
    let with = |change: fn(&mut server::Model)| {
        let mut other = server("b");
        change(&mut other);
        other
    };
    let serves: &[(&str, OpenvpnState)] = &[("a", Up), ("b", Up)];
    // (what, the other node, what they say of OpenVPN, whether it takes the clients of a)
    type Case<'a> = (&'a str, server::Model, &'a [(&'a str, OpenvpnState)], bool);
    let cases: [Case<'_>; 19] = [
        ("well", server("b"), serves, true),
        ("ill", with(|node| node.state = NodeState::Degraded), serves, true),
        (
            "silent for a moment",
            with(|node| node.state = NodeState::Stale),
            serves,
            true,
        ),
        ("never heard", with(|node| node.state = NodeState::Enrolled), &[], false),
        ("never in sync", with(|node| node.last_sync = None), serves, false),
        ("lost", lost("b", Utc::now()), serves, false),
        (
            "back, and not in sync",
            with(|node| node.lost_since = Some(Utc::now())),
            serves,
            false,
        ),
        ("disabled", with(|node| node.enabled = false), serves, false),
        ("draining", with(|node| node.draining = true), serves, false),
        (
            "leaving",
            with(|node| node.leaving_since = Some(Utc::now())),
            serves,
            false,
        ),
        (
            "of another pool",
            with(|node| node.pool = "other".to_owned()),
            serves,
            false,
        ),
        (
            "OpenVPN should run there",
            server("b"),
            &[("a", Up), ("b", Down)],
            false,
        ),
        (
            "OpenVPN is about to run there",
            server("b"),
            &[("a", Up), ("b", Waiting)],
            true,
        ),
        ("nothing is known of it", server("b"), &[("a", Up)], true),
        (
            "a alone runs none, and it is down",
            server("b"),
            &[("a", Absent), ("b", Down)],
            false,
        ),
        ("it runs none", server("b"), &[("a", Up), ("b", Absent)], false),
        (
            "it runs none, and nothing is known of a",
            server("b"),
            &[("b", Absent)],
            false,
        ),
        ("neither runs it", server("b"), &[("a", Absent), ("b", Absent)], true),
        ("a alone runs none", server("b"), &[("a", Absent), ("b", Up)], true),
    ];
    for (what, other, openvpn, expected) in cases {
        let fleet = fleet_with(&[server("a"), other], openvpn);
        assert_eq!(fleet.has_others(&server("a")), expected, "{what}");
    }
    assert!(!fleet(&[server("a")]).has_others(&server("a")), "it is alone");
}
