//! Violations about new profiles for all users of a node.

use super::*;
use crate::chaos::{inventory::NodeReissue, renewed::left_out};

const NEW: &str = "alice.cccccccccccccccc";
const REQUEST: &str = "0123456789abcdef";

/// All users of node-1 got new profiles, which were asked for half a minute after theirs were made.
fn reissue() -> NodeReissue {
    NodeReissue {
        server_id: "node-1".to_owned(),
        upto: 11,
        started_at: now() + TimeDelta::seconds(30),
        goes_on: false,
        stopped: false,
        total: 1,
        done: 1,
        failed: 0,
    }
}

fn of_node(action: &str) -> Audited {
    let mut row = audited(action, "", None, None);
    row.server_id = "node-1".to_owned();
    row.username = None;
    row.request_id = Some(REQUEST.to_owned());
    row.after = Some(json!({ "total": 1 }));
    row
}

/// Alice is one of them.
fn with_reissue() -> Fleet {
    let mut fleet = in_order();
    let inventory = &mut fleet.inventory;
    inventory.users[0].revision = 4;
    for placement in &mut inventory.placements {
        placement.wanted_revision = 4;
        placement.applied_revision = 4;
    }
    inventory
        .credentials
        .push(credential((Some(1), "default"), NEW, "0c", "NEW"));
    for node in &mut fleet.nodes {
        node.allowed.as_mut().unwrap().insert(NEW.to_owned());
        let held = node.journal.as_mut().unwrap().users.get_mut("key-a").unwrap();
        held.revision = 4;
        held.applied_revision = 4;
        held.credentials.insert(NEW.to_owned());
    }
    let listed = &mut fleet.listed.get_mut("alice").unwrap().devices[0];
    listed["common_name"] = json!(NEW);
    listed["credentials"] = json!(2);
    let details =
        format!("the new credential of the device default is {NEW}; the older ones stay valid (old_profiles: keep)");
    let renewed = Audited {
        request_id: Some(REQUEST.to_owned()),
        details: Some(details),
        ..audited("user_reissued", "alice", Some((3, true)), Some((4, true)))
    };
    fleet.trail.extend([
        of_node("node_reissue_started"),
        renewed,
        of_node("node_reissue_completed"),
    ]);
    fleet
}

#[test]
fn a_fleet_with_a_reissue_of_a_node_has_nothing_to_tell() {
    let fleet = with_reissue();
    assert_eq!(fleet.told(), Vec::<String>::new());
    assert_eq!(left_out(&[reissue()], &fleet.inventory), Vec::<String>::new());
}

#[test]
fn what_the_trail_does_not_tell_of_a_reissue_of_a_node_is_told() {
    each_is_told_of(
        with_reissue,
        &[
            ("has 1 reissues of node-1, 0 that were completed", |fleet| {
                drop(fleet.trail.pop());
            }),
            ("has 1 reissues of node-1, 1 that were completed, and 1", |fleet| {
                fleet.trail.push(of_node("node_reissue_stopped"));
            }),
            ("has 0 reissues of node-1, 1 that were completed", |fleet| {
                let started = fleet.trail.len() - 3;
                fleet.trail[started].after = Some(json!({ "total": 0 }));
            }),
            // Nobody asked for that of Alice alone.
            ("user_reissued of alice 1 times", |fleet| {
                let renewed = fleet.trail.len() - 2;
                fleet.trail[renewed].request_id = None;
            }),
            ("alice should have got 2 credentials and got 1", |fleet| {
                drop(fleet.inventory.credentials.pop());
            }),
            ("is missing on the allow-list of node-2", |fleet| {
                fleet.nodes[1].allowed.as_mut().unwrap().remove(NEW);
            }),
        ],
    );
}

/// A part of the expected message, and the violation that is planted.
type Plant = (&'static str, fn(&mut NodeReissue));

#[test]
fn a_reissue_that_goes_on_or_leaves_somebody_out_is_told() {
    let mut fleet = with_reissue();
    let left_out = |change: fn(&mut NodeReissue), fleet: &Fleet| {
        let mut reissue = reissue();
        change(&mut reissue);
        left_out(&[reissue], &fleet.inventory)
    };
    let plants: [Plant; 4] = [
        ("goes on: 1 of 1", |reissue| reissue.goes_on = true),
        ("failed for 1 users", |reissue| reissue.failed = 1),
        ("came to 1 of 2 users", |reissue| reissue.total = 2),
        ("the device default of alice got nothing new", |reissue| {
            reissue.upto = 12;
        }),
    ];
    for (part, change) in plants {
        let told = left_out(change, &fleet);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(part), "{told:?}");
    }
    fleet.inventory.credentials.pop();
    assert_eq!(left_out(|_| {}, &fleet).len(), 1);
    assert_eq!(left_out(|reissue| reissue.stopped = true, &fleet), Vec::<String>::new());
    // The transaction that made it may have ended after the request.
    let soon = |reissue: &mut NodeReissue| reissue.started_at = now() + TimeDelta::seconds(5);
    assert_eq!(left_out(soon, &fleet), Vec::<String>::new());
}
