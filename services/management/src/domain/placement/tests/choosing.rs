//! Which nodes are chosen.

use super::*;

/// A user whose group names no pool.
fn anywhere(home: &Home) -> Wanted<'_> {
    Wanted { home, pool: None }
}

#[test]
fn a_new_user_goes_to_open_nodes_and_to_lost_ones_only_when_there_are_no_others() {
    let user = UserKey::new();
    let home = |wanted: Option<&str>, servers: &[server::Model]| {
        let wanted = wanted.map_or(Home::Any, |wanted| Home::Named(node(wanted)));
        place_new(user, anywhere(&wanted), &fleet(servers), 3)
            .map(|placed| (placed.home.name.to_string(), placed.nodes.len()))
    };
    let disabled = server::Model {
        enabled: false,
        ..server("off")
    };
    let elsewhere = server::Model {
        pool: "other".to_owned(),
        ..server("far")
    };
    let servers = [server("n1"), lost("n2", Utc::now()), disabled, elsewhere];
    assert_eq!(home(None, &servers), Ok(("n1".to_owned(), 1)));
    assert_eq!(home(None, &servers[1..]), Ok(("n2".to_owned(), 1)));
    assert_eq!(home(Some("far"), &servers), Ok(("far".to_owned(), 1)));
    assert_eq!(home(Some("off"), &servers), Err(Unplaceable::HomeTakesNobody));
    assert_eq!(home(Some("gone"), &servers), Err(Unplaceable::UnknownHome));
    assert_eq!(home(None, &[]), Err(Unplaceable::NoNode));
}

#[test]
fn a_new_user_goes_to_the_pool_of_its_group_and_to_no_home_outside_of_it() {
    let far = server::Model {
        pool: "sales".to_owned(),
        ..server("far")
    };
    let off = server::Model {
        enabled: false,
        ..server("off")
    };
    let fleet = fleet(&[server("n1"), far, off]);
    let home = |home: &Home, pool: &str| {
        let pool = node(pool);
        let wanted = Wanted {
            home,
            pool: Some(&pool),
        };
        let placed = place_new(UserKey::new(), wanted, &fleet, 3);
        placed.map(|placed| (placed.home.name.to_string(), placed.nodes.len()))
    };
    let (named, asking) = (|name| Home::Named(node(name)), |name| Home::Asking(node(name)));
    assert_eq!(home(&Home::Any, "sales"), Ok(("far".to_owned(), 1)));
    assert_eq!(home(&Home::Any, DEFAULT_POOL), Ok(("n1".to_owned(), 1)));
    assert_eq!(home(&Home::Any, "empty"), Err(Unplaceable::NoNode));
    assert_eq!(home(&named("far"), "sales"), Ok(("far".to_owned(), 1)));
    for outside in [named("n1"), asking("n1"), named("off")] {
        assert_eq!(
            home(&outside, "sales"),
            Err(Unplaceable::HomeInOtherPool),
            "{outside:?}"
        );
    }
    assert_eq!(home(&named("gone"), "sales"), Err(Unplaceable::UnknownHome));
}

#[test]
fn a_lost_node_is_no_home_for_who_names_it_but_one_that_asks_is_there() {
    let since = Utc::now();
    let fleet = fleet(&[server("n1"), lost("n2", since)]);
    let home = |home: &Home| {
        let placed = place_new(UserKey::new(), anywhere(home), &fleet, 3);
        placed.map(|placed| (placed.home.name.to_string(), placed.nodes.len()))
    };
    assert_eq!(home(&Home::Named(node("n2"))), Err(Unplaceable::HomeIsLost(since)));
    assert_eq!(home(&Home::Asking(node("n2"))), Ok(("n2".to_owned(), 2)));
    assert_eq!(home(&Home::Named(node("n1"))), Ok(("n1".to_owned(), 1)));
}

#[test]
fn a_node_without_openvpn_is_chosen_only_while_no_open_node_of_its_pool_runs_it() {
    use OpenvpnState::{Absent, Down, Up};
    let now = Utc::now();
    let elsewhere = server::Model {
        pool: "other".to_owned(),
        ..server("n2")
    };
    let both = [server("n1"), server("n2")];
    // (what, nodes, what they say, those that are chosen)
    type Case<'a> = (
        &'a str,
        Vec<server::Model>,
        &'a [(&'a str, OpenvpnState)],
        &'a [&'a str],
    );
    let cases: [Case<'_>; 7] = [
        (
            "the other one runs it",
            both.to_vec(),
            &[("n1", Absent), ("n2", Up)],
            &["n2"],
        ),
        (
            "it should run there",
            both.to_vec(),
            &[("n1", Absent), ("n2", Down)],
            &["n2"],
        ),
        (
            "none runs it",
            both.to_vec(),
            &[("n1", Absent), ("n2", Absent)],
            &["n1", "n2"],
        ),
        (
            "the other one was never heard of",
            both.to_vec(),
            &[("n1", Absent)],
            &["n1", "n2"],
        ),
        (
            "the other one is lost",
            vec![server("n1"), lost("n2", now)],
            &[("n1", Absent), ("n2", Up)],
            &["n1"],
        ),
        (
            "the other one is of another pool",
            vec![server("n1"), elsewhere],
            &[("n1", Absent), ("n2", Up)],
            &["n1"],
        ),
        ("nothing is known", both.to_vec(), &[], &["n1", "n2"]),
    ];
    for (what, servers, openvpn, expected) in cases {
        let fleet = fleet_with(&servers, openvpn);
        let placed = place_new(UserKey::new(), anywhere(&Home::Any), &fleet, 3).expect("placed");
        let mut chosen: Vec<&str> = placed.nodes.iter().map(|(node, _)| node.as_str()).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, expected, "{what}");
    }

    let fleet = fleet_with(&both, &[("n1", Absent), ("n2", Up)]);
    let named = place_new(UserKey::new(), anywhere(&Home::Named(node("n1"))), &fleet, 3).expect("placed");
    assert_eq!(named.home.name, node("n1"), "an operator may want it");
    assert_eq!(named.nodes.len(), 2);
    let on = |name: &str| {
        let held = placed(name, Role::Home);
        let held = [&held];
        let user = UserPlacements {
            user: UserKey::new(),
            home: &node(name),
            former_pool: None,
            placements: &held,
        };
        let goal = Goal {
            replicas: 3,
            lost_before: now,
        };
        missing_nodes(user, &fleet, goal)
    };
    assert_eq!(on("n2"), []);
    assert_eq!(on("n1"), [(node("n2"), Role::Standby)]);
}

#[test]
fn a_standby_without_openvpn_inherits_only_where_nobody_runs_it() {
    use OpenvpnState::{Absent, Up};
    let (idle, ill) = (
        server("idle"),
        server::Model {
            state: NodeState::Degraded,
            ..server("ill")
        },
    );
    let to = |standbys: &[&server::Model], fleet: &Fleet, heirs| {
        new_home(UserKey::new(), standbys, fleet, heirs).map(|home| home.to_string())
    };
    let all = [idle.clone(), ill.clone(), server("other")];
    let others_run_it = fleet_with(&all, &[("idle", Absent), ("ill", Up), ("other", Up)]);
    assert_eq!(to(&[&idle], &others_run_it, Heirs::Fit), None, "another standby comes");
    assert_eq!(to(&[&idle, &ill], &others_run_it, Heirs::Any).as_deref(), Some("ill"));
    assert_eq!(to(&[&idle], &others_run_it, Heirs::Any).as_deref(), Some("idle"));
    let nobody_runs_it = fleet_with(&all, &[("idle", Absent), ("ill", Absent), ("other", Absent)]);
    assert_eq!(to(&[&idle, &ill], &nobody_runs_it, Heirs::Fit).as_deref(), Some("idle"));
}

#[test]
fn a_user_lacks_what_joined_and_what_replaces_a_node_that_is_given_up() {
    let (now, hour) = (Utc::now(), TimeDelta::hours(1));
    let user = UserKey::new();
    let lacks = |placements: &[placement::Model], servers: &[server::Model], replicas| {
        let placements: Vec<&placement::Model> = placements.iter().collect();
        let placed = UserPlacements {
            user,
            home: &node("n1"),
            former_pool: None,
            placements: &placements,
        };
        let goal = Goal {
            replicas,
            lost_before: now - hour,
        };
        missing_nodes(placed, &fleet(servers), goal)
    };
    let (home, standby) = (placed("n1", Role::Home), placed("n2", Role::Standby));
    let all = [server("n1"), server("n2"), server("n3")];
    let on_both = [home.clone(), standby.clone()];
    assert_eq!(lacks(&on_both, &all, 2), []);
    assert_eq!(lacks(&on_both, &all, 3), [(node("n3"), Role::Standby)]);
    assert_eq!(lacks(&on_both, &all[..2], 3), []);

    let given_up = |name| lost(name, now - hour * 2);
    assert_eq!(
        lacks(&on_both, &[server("n1"), given_up("n2"), server("n3")], 2),
        [(node("n3"), Role::Standby)]
    );
    assert_eq!(
        lacks(&on_both, &[given_up("n1"), server("n2"), server("n3")], 2),
        [(node("n3"), Role::Standby)]
    );
    assert_eq!(lacks(&on_both, &[server("n1"), lost("n2", now), server("n3")], 2), []);
    let homeless = lacks(&[], &all, 1);
    assert_eq!(homeless.iter().map(|(_, role)| *role).collect::<Vec<_>>(), [Role::Home]);
}

#[test]
fn only_a_fit_standby_inherits_unless_any_will_do() {
    let (well, ill) = (
        server("well"),
        server::Model {
            state: NodeState::Degraded,
            ..server("ill")
        },
    );
    let to = |standbys: &[&server::Model], heirs| {
        let all: Vec<server::Model> = standbys.iter().map(|server| (*server).clone()).collect();
        new_home(UserKey::new(), standbys, &fleet(&all), heirs).map(|home| home.to_string())
    };
    assert_eq!(to(&[&ill, &well], Heirs::Fit).as_deref(), Some("well"));
    assert_eq!(to(&[&ill, &well], Heirs::Any).as_deref(), Some("well"));
    assert_eq!(to(&[&ill], Heirs::Fit), None);
    assert_eq!(to(&[&ill], Heirs::Any).as_deref(), Some("ill"));
    assert_eq!(to(&[], Heirs::Any), None);
}

#[test]
fn the_users_of_one_node_are_spread_over_the_others() {
    let standbys = ["n2", "n3", "n4"].map(server);
    let fleet = fleet(&standbys);
    let standbys: Vec<&server::Model> = standbys.iter().collect();
    let mut tally = std::collections::BTreeMap::new();
    for _ in 0..300 {
        let home = new_home(UserKey::new(), &standbys, &fleet, Heirs::Fit).expect("a home");
        *tally.entry(home).or_insert(0) += 1;
    }
    assert_eq!(tally.len(), 3);
    assert!(tally.values().all(|count| (60..140).contains(count)), "{tally:?}");
}

fn nodes(count: usize) -> Vec<NodeId> {
    (1..=count)
        .map(|n| format!("node-{n}").parse().expect("a valid id"))
        .collect()
}

#[test]
fn one_home_and_standbys_up_to_the_replica_count() {
    let placed = rank(UserKey::new(), None, &nodes(5), 3);
    let roles: Vec<Role> = placed.iter().map(|(_, role)| *role).collect();
    assert_eq!(roles, [Role::Home, Role::Standby, Role::Standby]);
    assert_eq!(rank(UserKey::new(), None, &nodes(2), 3).len(), 2);
    assert!(rank(UserKey::new(), None, &[], 3).is_empty());
}

#[test]
fn a_wanted_home_is_the_home_and_stands_once() {
    let nodes = nodes(3);
    let placed = rank(UserKey::new(), nodes.get(1), &nodes, 3);
    assert_eq!(placed.first(), Some(&(nodes[1].clone(), Role::Home)));
    assert_eq!(placed.iter().filter(|(node, _)| *node == nodes[1]).count(), 1);
}

#[test]
fn a_new_node_takes_its_share_and_moves_nothing_else() {
    let (before, after) = (nodes(4), nodes(5));
    let new = after.last().expect("five nodes");
    let mut moved = 0;
    for _ in 0..500 {
        let user = UserKey::new();
        let (old, now) = (rank(user, None, &before, 1), rank(user, None, &after, 1));
        if old != now {
            assert_eq!(&now[0].0, new);
            moved += 1;
        }
    }
    assert!((50..150).contains(&moved), "{moved} of 500 moved to the fifth node");
}

#[test]
fn a_pool_that_says_how_many_nodes_its_users_get_is_followed() {
    let servers = [server("n1"), server("n2"), server("n3")];
    let user = UserKey::new();
    // Where the configuration says two: the nodes of a new user, and what one lacks who is on a single node.
    let counts = |said: Option<usize>| {
        let said = said.map(|replicas| (DEFAULT_POOL.to_owned(), replicas));
        let elsewhere = ("elsewhere".to_owned(), 1);
        let fleet = fleet(&servers).with_replicas(said.into_iter().chain([elsewhere]).collect());
        let new = place_new(user, anywhere(&Home::Any), &fleet, 2)
            .expect("placed")
            .nodes
            .len();
        let home = placed("n1", Role::Home);
        let held = [&home];
        let placed = UserPlacements {
            user,
            home: &node("n1"),
            former_pool: None,
            placements: &held,
        };
        let goal = Goal {
            replicas: 2,
            lost_before: Utc::now(),
        };
        (new, missing_nodes(placed, &fleet, goal).len())
    };
    assert_eq!(counts(None), (2, 1));
    assert_eq!(counts(Some(1)), (1, 0));
    assert_eq!(counts(Some(3)), (3, 2));
    assert_eq!(counts(Some(9)), (3, 2), "there are no more nodes");
}
