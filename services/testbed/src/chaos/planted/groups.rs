//! Violations about groups.

use std::net::Ipv4Addr;

use super::*;
use crate::chaos::{
    group::Group,
    held::{Receipt, Ruled, behind, unruled},
    place::Place,
};

/// Alice was put into the staff.
fn with_group() -> Fleet {
    let mut fleet = in_order();
    let to = Group::Staff;
    fleet.people[0].note(&Operation::Move { to }, &Answer::Done).unwrap();
    let listed = fleet.listed.get_mut("alice").unwrap();
    listed.user["group"] = json!("staff");
    listed.effective["sessions"] = json!({ "value": 7, "from": "group" });
    let inventory = &mut fleet.inventory;
    inventory.users[0].revision = 4;
    inventory.users[0].group = "staff".to_owned();
    inventory.users[0].node_group = "staff".to_owned();
    for placement in &mut inventory.placements {
        placement.wanted_revision = 4;
        placement.applied_revision = 4;
    }
    for node in &mut fleet.nodes {
        node.places.insert(ALICE.to_owned(), place(200, "staff"));
        let held = node.journal.as_mut().unwrap().users.get_mut("key-a").unwrap();
        held.revision = 4;
        held.applied_revision = 4;
    }
    let mut moved = audited("user_changed", "alice", Some((3, true)), Some((4, true)));
    moved.after.as_mut().unwrap()["group"] = json!("staff");
    fleet.trail.push(moved);
    fleet
}

fn place(block: u8, group: &str) -> Place {
    Place {
        address: Ipv4Addr::new(10, 8, block, 7),
        group: group.to_owned(),
    }
}

fn places(fleet: &mut Fleet) -> &mut BTreeMap<String, Place> {
    &mut fleet.nodes[1].places
}

#[test]
fn a_fleet_with_a_group_has_nothing_to_tell() {
    assert_eq!(with_group().told(), Vec::<String>::new());
}

#[test]
fn a_member_who_is_let_in_otherwise_than_her_group_says_is_told() {
    each_is_told_of(
        with_group,
        &[
            ("of the group staff is let in on node-2 with None", |fleet| {
                places(fleet).clear();
            }),
            ("of the group staff is let in on node-2 with Some", |fleet| {
                places(fleet).insert(ALICE.to_owned(), place(200, "sales"));
            }),
            ("of the group staff is let in on node-2 with Some", |fleet| {
                fleet.nodes[1].mode = NodeMode::External;
            }),
            ("has an address of everybody on node-2: 10.8.3.7", |fleet| {
                places(fleet).insert(ALICE.to_owned(), place(3, "staff"));
            }),
            ("has the address 10.8.200.7 on node-2, as somebody else has", |fleet| {
                places(fleet).insert(BOB.to_owned(), place(200, "staff"));
            }),
            (
                "10.8.200.7 of the group sales on node-2 is in a block of the group staff",
                |fleet| {
                    places(fleet).insert(BOB.to_owned(), place(200, "sales"));
                },
            ),
        ],
    );
    let mut fleet = in_order();
    places(&mut fleet).insert(ALICE.to_owned(), place(200, "staff"));
    let told = fleet.told();
    assert!(
        told[0].contains("of the group default is let in on node-2 with Some"),
        "{told:?}"
    );
}

#[test]
fn a_group_that_is_not_as_it_was_answered_is_told() {
    each_is_told_of(
        with_group,
        &[
            ("alice is listed as Living", |fleet| {
                fleet.listed.get_mut("alice").unwrap().user["group"] = json!("default");
            }),
            ("alice is listed without what a user has", |fleet| {
                fleet.listed.get_mut("alice").unwrap().user["group"] = json!("toasters");
            }),
            ("user_changed of alice 0 times", |fleet| drop(fleet.trail.pop())),
            ("there is User", |fleet| {
                fleet.inventory.users[0].group = "default".to_owned();
            }),
            (
                "alice of the group sales stands on node-1, which is in the pool",
                |fleet| {
                    fleet.inventory.users[0].group = "sales".to_owned();
                },
            ),
        ],
    );
}

#[test]
fn a_node_that_does_not_hold_to_the_rules_is_told() {
    let fleet = with_group();
    let node = &fleet.nodes[0];
    let receipt = |held| Receipt {
        node: "node-1".to_owned(),
        held,
        wanted: 7,
    };
    assert_eq!(behind(node, &[receipt(Some(7))]), None);
    for receipts in [&[receipt(Some(6))][..], &[receipt(None)], &[]] {
        assert!(behind(node, receipts).is_some(), "{receipts:?}");
    }
    let ruled = |name: &str| Ruled {
        name: name.to_owned(),
        rules: json!({ "reach": [{ "protocol": "tcp", "ports": ["20007"] }, { "protocol": "icmp" }] }),
    };
    // Nobody is in sales.
    let groups = [ruled("staff"), ruled("sales")];
    assert_eq!(
        unruled(node, &groups, "tcp dport 20007 goto g0_way"),
        Vec::<String>::new()
    );
    assert_eq!(
        unruled(node, &groups, "tcp dport 20006 goto g0_way"),
        ["node-1 does not hold the group staff to the port 20007"]
    );
}
