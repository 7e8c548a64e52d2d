//! Tests the checks: a correct fleet gives no violation, and each violation that is planted into it is found.

mod devices;
mod fleet;
mod groups;
mod history;
mod limits;
mod networks;
mod quotas;
mod reissues;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use fleet::{ALICE, BOB, Fleet, audited, credential, in_order, listed_device, node, now, profile, reissued};
use serde_json::{Value, json};
use vpnmanager_testbed::stack::NodeMode;

use super::{
    credential::By,
    device::Device,
    inventory::{Audited, Credential},
    listed::Listed,
    model::Answer,
    node_view::NodeView,
    operation::Operation,
};

#[test]
fn a_fleet_in_order_has_nothing_to_tell() {
    assert_eq!(in_order().told(), Vec::<String>::new());
}

/// A part of the expected message, and the violation that is planted.
type Plant = (&'static str, fn(&mut Fleet));

fn each_is_told(plants: &[Plant]) {
    each_is_told_of(in_order, plants);
}

/// Each violation is planted into another fleet that is in order.
fn each_is_told_of(in_order: fn() -> Fleet, plants: &[Plant]) {
    for (part, plant) in plants {
        let mut fleet = in_order();
        plant(&mut fleet);
        let told = fleet.told();
        assert!(
            told.iter().any(|what| what.contains(part)),
            "{part:?} is not in {told:#?}"
        );
    }
}

/// As the trail, the journals and the lists are after node-1 was lost for long.
#[test]
fn a_user_who_got_another_home_has_nothing_to_tell() {
    const MOVED: &str = "alice.cccccccccccccccc";
    let mut fleet = in_order();
    fleet.inventory.users[0].revision = 4;
    fleet.inventory.users[0].server_id = "node-2".to_owned();
    for (placement, role) in fleet.inventory.placements.iter_mut().zip(["standby", "home"]) {
        placement.role = role.to_owned();
        placement.wanted_revision = 4;
        placement.applied_revision = 4;
    }
    let mut second = fleet.inventory.credentials[0].clone();
    second.common_name = MOVED.to_owned();
    second.server_id = "node-2".to_owned();
    second.serial = Some("0c".to_owned());
    second.profile = Some("checksum-0c".to_owned());
    let listed = &mut fleet.listed.get_mut("alice").unwrap().devices[0];
    listed["common_name"] = json!(MOVED);
    listed["credentials"] = json!(2);
    fleet.inventory.credentials.push(second);
    for node in &mut fleet.nodes {
        node.allowed.as_mut().unwrap().insert(MOVED.to_owned());
        let held = node.journal.as_mut().unwrap().users.get_mut("key-a").unwrap();
        held.revision = 4;
        held.applied_revision = 4;
        held.credentials.insert(MOVED.to_owned());
    }
    let mut moved = audited("user_rehomed", "alice", None, None);
    moved.before = Some(json!({ "server_id": "node-1" }));
    moved.after = Some(json!({ "server_id": "node-2" }));
    fleet.trail.push(moved);
    assert_eq!(fleet.told(), Vec::<String>::new());

    fleet.trail.last_mut().unwrap().before = Some(json!({ "server_id": "node-2" }));
    let told = fleet.told();
    assert!(
        told.iter().any(|what| what.contains("user_rehomed of alice")),
        "{told:#?}"
    );
}

#[test]
fn an_answered_operation_that_is_not_reflected_is_told() {
    each_is_told(&[
        ("alice is listed as Absent", |fleet| fleet.listed.clear()),
        ("alice is listed as Living", |fleet| {
            fleet.listed.get_mut("alice").unwrap().user["active"] = json!(false);
        }),
        ("bob is listed as Living", |fleet| {
            let alice = fleet.listed["alice"].clone();
            fleet.listed.insert("bob".to_owned(), alice);
        }),
        ("mallory is listed, and nobody asked", |fleet| {
            let alice = fleet.listed["alice"].clone();
            fleet.listed.insert("mallory".to_owned(), alice);
        }),
    ]);
}

#[test]
fn what_is_pending_or_stands_nowhere_is_told() {
    each_is_told(&[
        ("alice is pending on node-2", |fleet| {
            fleet.inventory.placements[1].applied_revision = 2;
        }),
        ("alice is not synced", |fleet| fleet.inventory.users[0].synced = false),
        ("alice is not synced", |fleet| {
            fleet.inventory.users[0].synced = false;
            fleet.inventory.credentials[0].profile = None;
        }),
        ("is removed and still has a row", |fleet| {
            fleet.inventory.users[0].removed = true
        }),
        ("alice stands on 1 nodes", |fleet| {
            drop(fleet.inventory.placements.pop())
        }),
        ("placed so on []", |fleet| {
            fleet.inventory.placements[0].role = "standby".to_owned();
        }),
    ]);
}

#[test]
fn a_journal_that_differs_is_told() {
    each_is_told(&[
        ("the journal of node-2 cannot be read", |fleet| {
            fleet.nodes[1].journal = Err("malformed".to_owned());
        }),
        ("node-2 does not hold alice", |fleet| fleet.journal().users.clear()),
        ("whom PostgreSQL does not place there", |fleet| {
            let held = fleet.held().clone();
            fleet.journal().users.insert("key-x".to_owned(), held);
        }),
        ("revision should be 3 and is 4", |fleet| fleet.held().revision = 4),
        ("applied revision should be 3", |fleet| {
            fleet.held().applied_revision = 2
        }),
        ("active should be true", |fleet| fleet.held().active = false),
        ("expiry should be None", |fleet| fleet.held().expires_at = Some(now())),
        ("credentials should be", |fleet| fleet.held().credentials.clear()),
        ("locally removed should be false", |fleet| {
            fleet.held().removed_locally = true
        }),
        ("it has no outcome", |fleet| fleet.held().outcome = None),
    ]);
}

#[test]
fn an_allow_list_that_differs_is_told() {
    each_is_told(&[
        ("the allow-list of node-2 cannot be read", |fleet| {
            fleet.nodes[1].allowed = Err("gone".to_owned());
        }),
        (
            "alice.aaaaaaaaaaaaaaaa is missing on the allow-list of node-2",
            |fleet| {
                fleet.nodes[1].allowed = Ok(BTreeSet::new());
            },
        ),
        (
            "bob.bbbbbbbbbbbbbbbb is on the allow-list of node-2 and should not",
            |fleet| {
                fleet.nodes[1].allowed.as_mut().unwrap().insert(BOB.to_owned());
            },
        ),
        (
            "alice.aaaaaaaaaaaaaaaa is on the allow-list of node-1 and should not",
            |fleet| {
                fleet.inventory.users[0].active = false;
            },
        ),
        (
            "alice.aaaaaaaaaaaaaaaa is on the allow-list of node-1 and should not",
            |fleet| {
                fleet.inventory.users[0].expires_at = Some(now() - TimeDelta::minutes(1));
            },
        ),
    ]);
}

#[test]
fn a_credential_that_was_issued_twice_is_told() {
    each_is_told(&[
        ("share the serial 0a", |fleet| {
            fleet.inventory.credentials[1].serial = Some("0a".to_owned());
        }),
        ("should be {\"default\": 1} and are {\"default\": 2}", |fleet| {
            let mut second = fleet.inventory.credentials[0].clone();
            second.common_name = "alice.cccccccccccccccc".to_owned();
            fleet.inventory.credentials.push(second);
        }),
        ("bob should have got 1 credentials and got 2", |fleet| {
            let mut second = fleet.inventory.credentials[1].clone();
            second.common_name = "bob.cccccccccccccccc".to_owned();
            fleet.inventory.credentials.push(second);
        }),
        ("the device default of alice has no certificate", |fleet| {
            fleet.inventory.credentials[0].certificate = None
        }),
        ("node-2 has a certificate with serial 0f", |fleet| {
            fleet.journal().serials.insert(ALICE.to_owned(), "0f".to_owned());
        }),
        ("a certificate that is not recorded", |fleet| {
            fleet.people[0].learn(Device::Default, profile("ANOTHER"));
        }),
        ("a profile of the device default of alice was that of bob", |fleet| {
            fleet.people[0].learn(Device::Default, profile("BOB"));
        }),
    ]);
}

#[test]
fn a_change_that_the_audit_trail_does_not_account_for_is_told() {
    each_is_told(&[
        ("user_suspended of alice 0 times", |fleet| drop(fleet.trail.remove(1))),
        ("before that there was", |fleet| drop(fleet.trail.remove(1))),
        ("user_resumed of alice 2 times", |fleet| {
            let again = fleet.trail[3].clone();
            fleet.trail.push(again);
        }),
        ("there is User", |fleet| fleet.inventory.users[0].revision = 4),
        ("there is User", |fleet| {
            fleet.inventory.users[0].expires_at = Some(now())
        }),
        ("ends with a living bob", |fleet| drop(fleet.trail.remove(4))),
        ("user_suspended of alice from", |fleet| {
            fleet.trail[1].after.as_mut().unwrap()["active"] = json!(true);
        }),
        ("user_suspended of alice from", |fleet| {
            fleet.trail[1].after.as_mut().unwrap()["revision"] = json!(7);
        }),
        ("user_reissued of alice 1 times", |fleet| {
            fleet.trail.push(reissued("alice", (3, true), (4, true)));
        }),
        ("user_reissued of alice from", |fleet| {
            fleet.trail.push(reissued("alice", (3, true), (4, false)));
        }),
        ("alice should have got 2 credentials and got 1", |fleet| {
            fleet.trail.push(reissued("alice", (3, true), (4, true)));
        }),
        ("1 removals of bob, and 0 that were completed", |fleet| {
            drop(fleet.trail.pop())
        }),
        ("user_revision_raised of Some(\"alice\") without a cause", |fleet| {
            fleet.trail.push(audited("user_revision_raised", "alice", None, None));
        }),
        ("node_cloned", |fleet| {
            fleet.trail.push(audited("node_cloned", "", None, None))
        }),
    ]);
}
