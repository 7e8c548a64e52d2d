//! Members of groups: their fixed addresses, and that nobody is let in who cannot be held to rules.

use std::time::Duration;

use rusqlite::OptionalExtension as _;
use vpnmanager_endnode::{
    apply::Applied,
    backend::{Parting, VpnBackend as _},
    groups::{Definitions, Enforced, Place, Seat},
    tasks::groups::Members,
};
use vpnmanager_nats::{
    acks::Outcome,
    commands::{Command, PutUser},
    groups::{Group, GroupRules, Groups, Speed},
    ids::{CommonName, Revision},
};
use vpnmanager_runtime::reconcile::Wake;
use vpnmanager_testbed::wait;

use crate::parts::{Parts, User};

pub(crate) const APPLIED: Applied = Applied::Answered(Outcome::Applied {
    issued: None,
    further: Vec::new(),
    note: None,
});

/// A node that holds everybody to their rules.
pub(crate) fn held(network: &str) -> Parts {
    let parts = Parts::in_network(network);
    parts.has_a_firewall();
    parts
}

/// The groups of the fleet, of which those have rules.
pub(crate) fn told(revision: i64, groups: &[(&str, bool)]) -> Groups {
    let slow = GroupRules {
        down: Some(Speed::try_from(1000).unwrap()),
        ..GroupRules::default()
    };
    let of = |(name, has_rules): &(&str, bool)| Group {
        name: name.parse().unwrap(),
        rules: if *has_rules {
            slow.clone()
        } else {
            GroupRules::default()
        },
        metered: false,
    };
    Groups {
        revision: Revision(revision),
        groups: groups.iter().map(of).collect(),
    }
}

/// The address of the only session.
async fn address(parts: &Parts) -> String {
    let sessions = parts.vpn.sessions().await.unwrap();
    let [session] = sessions.as_slice() else {
        panic!("{sessions:?}")
    };
    session.virtual_address.clone()
}

/// The place of a credential in the journal.
fn journaled(parts: &Parts, name: &CommonName) -> Option<(String, u32)> {
    let journal = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    let select = "SELECT group_name, host FROM places WHERE common_name = ?1";
    let row = journal.query_row(select, [name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
    row.optional().unwrap()
}

fn place(group: &str, host: u32) -> Option<Place> {
    Some(Place {
        group: group.parse().unwrap(),
        host,
    })
}

pub(crate) fn suspended(user: &User, revision: i64, group: &str) -> Command {
    Command::PutUser(PutUser {
        active: false,
        group: Some(group.parse().unwrap()),
        ..user.put(revision)
    })
}

pub(crate) fn reason(applied: &Applied) -> &str {
    match applied {
        Applied::Unheld(reason) => reason,
        Applied::Answered(_) | Applied::Issuing(_) => panic!("{applied:?}"),
    }
}

#[tokio::test]
async fn a_member_has_a_fixed_address_which_the_next_run_of_the_agent_knows() {
    let (parts, alice, bob) = (held("10.8.0.0/16"), User::new("alice"), User::new("bob"));

    assert_eq!(parts.apply(alice.in_group(1, "sales")).await.applied, APPLIED);
    parts.apply(bob.standby(1)).await;

    assert!(parts.vpn.connect(&alice.credential));
    assert_eq!(address(&parts).await, "10.8.128.1");
    assert_eq!(journaled(&parts, &alice.credential), Some(("sales".to_owned(), 32_769)));
    assert_eq!(journaled(&parts, &bob.credential), None);
    assert!(parts.vpn.partings().is_empty(), "nobody was there before");
    let (_, places) = parts.starts_again("10.8.0.0/16").await;
    assert_eq!(places.place_of(&alice.credential), place("sales", 32_769));
    assert_eq!(places.seat_of(&bob.credential), Seat::Dynamic);
}

#[tokio::test]
async fn who_moves_to_another_group_is_sent_to_get_another_address() {
    let (parts, alice) = (held("10.8.0.0/16"), User::new("alice"));
    let bob = User::new("bob");
    parts.apply(alice.standby(1)).await;
    parts.apply(bob.in_group(1, "engineering")).await;
    let moves = [
        (alice.in_group(2, "sales"), "10.8.129.1"),
        (alice.in_group(3, "engineering"), "10.8.128.2"),
        (alice.standby(4), "10.8.0.2"),
    ];
    let mut expected = Vec::new();
    for (command, new_address) in moves {
        assert!(parts.vpn.connect(&alice.credential));

        assert_eq!(parts.apply(command).await.applied, APPLIED);

        expected.push((alice.credential.clone(), Parting::Reconnect));
        assert_eq!(parts.vpn.partings(), expected);
        assert!(parts.vpn.sessions().await.unwrap().is_empty());
        assert!(parts.vpn.connect(&alice.credential));
        assert_eq!(address(&parts).await, new_address);
    }
    assert_eq!(journaled(&parts, &alice.credential), None);

    // Who is suspended keeps her place, and who is removed gives it back.
    parts.apply(suspended(&bob, 2, "engineering")).await;
    assert_eq!(
        journaled(&parts, &bob.credential),
        Some(("engineering".to_owned(), 32_769))
    );
    parts.apply(bob.removed(3)).await;
    assert_eq!(journaled(&parts, &bob.credential), None);
    assert_eq!(parts.places().place_of(&bob.credential), None);
}

#[tokio::test]
async fn who_finds_no_place_is_refused_until_there_is_room_and_stops_nobody_else() {
    let parts = held("10.8.0.0/29");
    let members: Vec<User> = ["alice", "bob", "carol", "dave"].map(User::new).to_vec();
    let (alice, dave, other) = (&members[0], &members[3], User::new("other"));
    let commands = members.iter().map(|user| user.in_group(1, "sales"));
    let commands: Vec<Command> = commands.chain([other.standby(1)]).collect();

    let handled = parts.applier.apply(commands, 7).await.unwrap();

    let applied: Vec<&Applied> = handled.iter().map(|handled| &handled.applied).collect();
    let [first, second, third, late, last] = applied.as_slice() else {
        panic!("{applied:?}")
    };
    assert_eq!([*first, *second, *third, *last], [&APPLIED; 4]);
    let said = reason(late);
    assert!(
        said.starts_with("OPENVPN_NETWORK (10.8.0.0/29) has no address left for the group sales: "),
        "{said}"
    );
    assert!(parts.vpn.connect(&alice.credential) && parts.vpn.connect(&other.credential));
    assert!(!parts.vpn.connect(&dave.credential));
    assert!(parts.applier.reconcile().await.unwrap().is_unchanged());
    assert!(!parts.vpn.connect(&dave.credential), "nothing lets her in meanwhile");
    let lack = parts.holding.lack().unwrap();
    assert!(lack.contains(dave.credential.as_str()), "{lack}");
    let again = parts.apply(dave.in_group(1, "sales")).await;
    assert!(matches!(again.applied, Applied::Unheld(_)) && !again.changed);

    parts.apply(alice.removed(2)).await;
    assert_eq!(
        parts.applier.reconcile().await.unwrap().added,
        std::slice::from_ref(&dave.credential)
    );

    assert!(parts.vpn.connect(&dave.credential));
    assert_eq!(parts.places().place_of(&dave.credential), place("sales", 4));
    assert_eq!(parts.apply(dave.in_group(1, "sales")).await.applied, APPLIED);
    let tally = parts.journal.read(|records| records.tally()).await.unwrap();
    assert_eq!((tally.users, parts.holding.lack()), (4, None));
}

#[tokio::test]
async fn who_is_not_let_in_anyway_fails_for_no_lack_of_room() {
    let parts = held("10.8.0.0/29");
    let members = ["alice", "bob", "carol"].map(User::new);
    for user in &members {
        parts.apply(user.in_group(1, "sales")).await;
    }
    let dave = User::new("dave");
    assert_eq!(parts.apply(suspended(&dave, 1, "sales")).await.applied, APPLIED);
    assert!(matches!(
        parts.apply(dave.in_group(2, "sales")).await.applied,
        Applied::Unheld(_)
    ));
    assert_eq!(parts.apply(suspended(&dave, 3, "sales")).await.applied, APPLIED);
    assert_eq!(parts.apply(dave.standby(4)).await.applied, APPLIED);
    assert!(parts.vpn.connect(&dave.credential));
}

#[tokio::test]
async fn another_network_gives_new_addresses_at_the_start() {
    let (parts, alice, bob) = (held("10.8.0.0/16"), User::new("alice"), User::new("bob"));
    parts.apply(alice.in_group(1, "sales")).await;
    parts.apply(bob.in_group(1, "engineering")).await;

    let (applier, places) = parts.starts_again("10.9.0.0/24").await;
    assert_eq!(places.seat_of(&alice.credential), Seat::Waiting);
    applier.reconcile().await.unwrap();

    let given = [&alice, &bob].map(|user| places.place_of(&user.credential).unwrap());
    assert!(given.iter().all(|place| (128..255).contains(&place.host)), "{given:?}");
    assert_ne!(
        given[0].host / 16,
        given[1].host / 16,
        "each in a block of its own group"
    );
    let (_, places) = parts.starts_again("10.9.0.0/24").await;
    assert_eq!(
        [&alice, &bob].map(|user| places.place_of(&user.credential).unwrap()),
        given
    );
    let (applier, places) = parts.starts_again("10.8.0.0/16").await;
    applier.reconcile().await.unwrap();
    assert!(places.place_of(&alice.credential).unwrap().host >= 32_768);
}

#[tokio::test]
async fn a_place_that_was_not_journaled_is_none() {
    let (parts, alice, bob) = (held("10.8.0.0/16"), User::new("alice"), User::new("bob"));
    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    parts
        .applier
        .apply(vec![alice.in_group(1, "sales")], 0)
        .await
        .unwrap_err();
    assert!(parts.places().is_empty());

    other.execute_batch("ROLLBACK").unwrap();
    parts.apply(bob.in_group(1, "engineering")).await;
    parts.apply(alice.in_group(1, "sales")).await;
    assert_eq!(parts.places().place_of(&bob.credential), place("engineering", 32_769));
    assert_eq!(parts.places().place_of(&alice.credential), place("sales", 33_025));
}

#[tokio::test]
async fn a_session_with_the_address_of_another_group_is_ended_by_the_next_look() {
    let (parts, alice, bob) = (held("10.8.0.0/16"), User::new("alice"), User::new("bob"));
    parts.apply(alice.in_group(1, "sales")).await;
    parts.apply(bob.standby(1)).await;
    assert!(parts.vpn.connect(&alice.credential) && parts.vpn.connect(&bob.credential));
    let ended = async || {
        let cut = parts.vpn.enforce().await.unwrap();
        (cut.count, cut.moved.len())
    };
    assert_eq!(ended().await, (0, 0));
    // The server cannot be asked while they move.
    parts.vpn.set_reachable(false);
    parts.apply(alice.in_group(2, "engineering")).await;
    parts.apply(bob.in_group(2, "engineering")).await;
    parts.vpn.set_reachable(true);
    assert_eq!(parts.vpn.sessions().await.unwrap().len(), 2);

    assert_eq!(ended().await, (0, 2));

    assert!(parts.vpn.connect(&bob.credential));
    assert_eq!(ended().await, (0, 0));
    parts.vpn.set_reachable(false);
    parts.apply(bob.standby(3)).await;
    parts.vpn.set_reachable(true);
    assert_eq!(ended().await, (0, 1), "a fixed address is none of hers");
}

#[tokio::test]
async fn the_session_of_the_last_member_who_left_is_ended_by_the_next_look() {
    let (parts, alice) = (held("10.8.0.0/16"), User::new("alice"));
    parts.apply(alice.in_group(1, "sales")).await;
    assert!(parts.vpn.connect(&alice.credential));
    // The server cannot be asked while she leaves.
    parts.vpn.set_reachable(false);
    parts.apply(alice.standby(2)).await;
    parts.vpn.set_reachable(true);
    assert!(parts.places().is_empty());
    // Whatever becomes of the rules: nobody is held to any.
    parts.places().set_enforced(false);

    assert_eq!(parts.vpn.enforce().await.unwrap().moved.len(), 1);
}

#[tokio::test]
async fn who_is_found_on_the_allow_list_of_a_lost_journal_keeps_her_address_and_ghosts_go() {
    let (parts, alice, ghost) = (held("10.8.0.0/16"), User::new("alice"), User::new("ghost"));
    let found = [
        (alice.credential.clone(), place("sales", 33_025).unwrap()),
        (ghost.credential.clone(), place("temps", 40_000).unwrap()),
    ];
    parts.places().find(found.to_vec());
    let holds = async || parts.places().is_enforced();
    wait::until(wait::SOON, "the firewall", holds).await.unwrap();
    parts.vpn.allow(&found.map(|(name, _)| name)).await.unwrap();
    assert!(parts.vpn.connect(&alice.credential));

    parts.apply(alice.in_group(1, "sales")).await;
    parts.applier.reconcile().await.unwrap();

    assert_eq!(address(&parts).await, "10.8.129.1");
    assert_eq!(parts.vpn.enforce().await.unwrap().count, 0);
    assert_eq!(journaled(&parts, &alice.credential), Some(("sales".to_owned(), 33_025)));
    assert_eq!(parts.places().place_of(&ghost.credential), None);
    assert_eq!(parts.places().blocks().len(), 1);
}

#[tokio::test]
async fn the_repair_of_the_allow_list_is_woken_when_the_firewall_begins_to_hold_rules() {
    let (parts, wake) = (Parts::new(), Wake::new());
    let members = Members {
        allow_list: wake.clone(),
        ..parts.members(&Definitions::default())
    };
    parts.follows(members).await;
    parts.apply(User::new("alice").in_group(1, "sales")).await;
    let woken = || tokio::time::timeout(Duration::from_millis(200), wake.woken());
    assert!(woken().await.is_err());

    parts.places().set_enforced(true);

    tokio::time::timeout(wait::SOON, wake.woken()).await.unwrap();
    parts.places().set_enforced(false);
    assert!(woken().await.is_err());
}

#[tokio::test]
async fn members_are_sent_to_other_nodes_when_the_firewall_has_lost_their_rules() {
    let (parts, wake) = (Parts::new(), Wake::new());
    let (alice, bob) = (User::new("alice"), User::new("bob"));
    parts.places().set_enforced(true);
    parts.apply(alice.in_group(1, "sales")).await;
    parts.apply(bob.standby(1)).await;
    assert!(parts.vpn.connect(&alice.credential) && parts.vpn.connect(&bob.credential));
    let members = Members {
        allow_list: wake.clone(),
        ..parts.members(&Definitions::default())
    };
    parts.follows(members).await;
    tokio::time::timeout(wait::SOON, wake.woken()).await.unwrap();

    parts.places().note_enforced(Enforced::Gone, 1);

    let only_bob = async || parts.vpn.sessions().await.unwrap().len() == 1;
    wait::until(wait::SOON, "the session of the member to end", only_bob)
        .await
        .unwrap();
    assert_eq!(
        parts.vpn.partings(),
        [(alice.credential.clone(), Parting::NextRemote)],
        "nobody else is disturbed"
    );
    assert!(!parts.vpn.connect(&alice.credential));
    parts.places().set_enforced(true);
    tokio::time::timeout(wait::SOON, wake.woken()).await.unwrap();
    assert_eq!(
        parts.applier.reconcile().await.unwrap().added,
        std::slice::from_ref(&alice.credential)
    );
}
