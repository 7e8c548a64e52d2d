//! Violations about own limits.

use std::net::Ipv4Addr;

use super::*;
use crate::chaos::{group::Group, own_limits::LimitsChange, place::Place};

/// Alice, of the staff, got limits of her own for devices and sessions, and that of sessions was taken away.
fn with_limits() -> Fleet {
    let mut fleet = in_order();
    let alice = &mut fleet.people[0];
    let to = Group::Staff;
    alice.note(&Operation::Move { to }, &Answer::Done).unwrap();
    for change in [
        LimitsChange::Devices(Some(1)),
        LimitsChange::Sessions(Some(4)),
        LimitsChange::Sessions(None),
    ] {
        alice.note(&Operation::Limit { change }, &Answer::Done).unwrap();
    }
    let device = Device::Phone;
    alice
        .note(&Operation::AddDevice { device }, &Answer::BeyondLimit)
        .unwrap();
    let listed = fleet.listed.get_mut("alice").unwrap();
    listed.user["group"] = json!("staff");
    listed.user["limits"] = json!({ "devices": 1 });
    listed.effective = json!({
        "devices": { "value": 1, "from": "own" }, "sessions": { "value": 7, "from": "group" },
        "session_excess": { "value": "oldest_ends", "from": "group" },
    });
    let inventory = &mut fleet.inventory;
    inventory.users[0].group = "staff".to_owned();
    inventory.users[0].node_group = "staff".to_owned();
    inventory.users[0].own_devices = Some(1);
    inventory.users[0].revision = 7;
    for placement in &mut inventory.placements {
        placement.wanted_revision = 7;
        placement.applied_revision = 7;
    }
    for node in &mut fleet.nodes {
        let place = Place {
            address: Ipv4Addr::new(10, 8, 200, 7),
            group: "staff".to_owned(),
        };
        node.places.insert(ALICE.to_owned(), place);
        let held = node.journal.as_mut().unwrap().users.get_mut("key-a").unwrap();
        held.revision = 7;
        held.applied_revision = 7;
    }
    let states = [
        ("default", json!({})),
        ("staff", json!({})),
        ("staff", json!({ "devices": 1 })),
        ("staff", json!({ "devices": 1, "sessions": 4 })),
        ("staff", json!({ "devices": 1 })),
    ];
    let steps = states.iter().zip(states.iter().skip(1)).zip(3..);
    for ((before, after), revision) in steps {
        let mut changed = audited(
            "user_changed",
            "alice",
            Some((revision, true)),
            Some((revision + 1, true)),
        );
        for (state, (group, limits)) in [(&mut changed.before, before), (&mut changed.after, after)] {
            let state = state.as_mut().unwrap();
            state["group"] = json!(group);
            state["limits"] = limits.clone();
        }
        fleet.trail.push(changed);
    }
    fleet
}

fn listed(fleet: &mut Fleet) -> &mut Listed {
    fleet.listed.get_mut("alice").unwrap()
}

#[test]
fn a_fleet_with_own_limits_has_nothing_to_tell() {
    assert_eq!(with_limits().told(), Vec::<String>::new());
}

#[test]
fn own_limits_that_are_not_as_they_were_answered_are_told() {
    each_is_told_of(
        with_limits,
        &[
            ("alice is listed as Living", |fleet| {
                listed(fleet).user["limits"] = json!({});
            }),
            ("alice is listed as Living", |fleet| {
                listed(fleet).user["limits"]["sessions"] = json!(4);
            }),
            ("alice is listed without what a user has", |fleet| {
                listed(fleet).user["limits"]["session_excess"] = json!("oldest_ends");
            }),
            ("there is User", |fleet| fleet.inventory.users[0].own_devices = Some(2)),
            ("there is User", |fleet| fleet.inventory.users[0].own_sessions = Some(4)),
            ("user_changed of alice 3 times", |fleet| drop(fleet.trail.pop())),
            ("the limit devices of alice is", |fleet| {
                listed(fleet).effective["devices"]["from"] = json!("group");
            }),
            ("the limit devices of alice is null", |fleet| {
                listed(fleet).effective["devices"] = json!(null);
            }),
            ("the limit sessions of alice is", |fleet| {
                listed(fleet).effective["sessions"]["value"] = json!(4);
            }),
            ("the limit traffic of alice is", |fleet| {
                listed(fleet).effective["traffic"] = json!({ "value": { "bytes": 1, "period": "day" }, "from": "own" });
            }),
        ],
    );
}
