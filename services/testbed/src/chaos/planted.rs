//! Tests the checks: a correct fleet gives no violation, and each violation that is planted into it is found.

mod devices;
mod groups;
mod history;
mod limits;
mod networks;
mod quotas;
mod reissues;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::stack::NodeMode;

use super::{
    agreement::between,
    credential::By,
    device::Device,
    effective::{Limiting, misjudged},
    inventory::{Audited, Credential, Inventory, Placement, Server, User},
    issued::issued_twice,
    listed::Listed,
    model::{Answer, Person},
    node_journal::{Held, NodeJournal},
    node_view::NodeView,
    operation::Operation,
    promises::{answers_not_reflected, devices_not_reflected},
    renewed::left_open,
    told::otherwise_than_told,
    trail::unaccounted,
};

/// A correct fleet: Alice was created, suspended and resumed, Bob was created and removed.
#[derive(Clone)]
struct Fleet {
    people: Vec<Person>,
    listed: BTreeMap<String, Listed>,
    inventory: Inventory,
    nodes: Vec<NodeView>,
    trail: Vec<Audited>,
}

const ALICE: &str = "alice.aaaaaaaaaaaaaaaa";
const BOB: &str = "bob.bbbbbbbbbbbbbbbb";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn in_order() -> Fleet {
    let (mut alice, mut bob) = (Person::new("alice".to_owned()), Person::new("bob".to_owned()));
    let create = Operation::CREATE;
    let device = Device::Default;
    for operation in [
        &create,
        &Operation::Suspend,
        &Operation::Resume,
        &Operation::ReadProfile { device },
    ] {
        alice.note(operation, &Answer::Done).unwrap();
    }
    alice.learn(device, profile("ALICE"));
    for operation in [&create, &Operation::Delete] {
        bob.note(operation, &Answer::Done).unwrap();
    }
    let listed = Listed {
        user: json!({ "username": "alice", "active": true, "expires_at": null, "group": "default", "limits": {} }),
        effective: json!({ "session_excess": { "value": "oldest_ends", "from": "group" } }),
        devices: vec![listed_device("default", ALICE)],
    };
    let user = User {
        id: 1,
        key: "key-a".to_owned(),
        username: "alice".to_owned(),
        server_id: "node-1".to_owned(),
        revision: 3,
        active: true,
        expires_at: None,
        synced: true,
        group: "default".to_owned(),
        own_devices: None,
        own_sessions: None,
        own_traffic_bytes: None,
        own_traffic_period: None,
        own_down: None,
        node_group: "default".to_owned(),
        removed: false,
    };
    Fleet {
        people: vec![alice, bob],
        listed: BTreeMap::from([("alice".to_owned(), listed)]),
        inventory: Inventory {
            servers: ["node-1", "node-2"].map(server).to_vec(),
            users: vec![user],
            placements: vec![placement("node-1", "home"), placement("node-2", "standby")],
            credentials: vec![
                credential((Some(1), "default"), ALICE, "0a", "ALICE"),
                credential((None, "default"), BOB, "0b", "BOB"),
            ],
        },
        nodes: vec![node("node-1", &[(ALICE, "0a")]), node("node-2", &[])],
        trail: vec![
            audited("user_created", "alice", None, Some((1, true))),
            audited("user_suspended", "alice", Some((1, true)), Some((2, false))),
            audited("user_created", "bob", None, Some((1, true))),
            audited("user_resumed", "alice", Some((2, false)), Some((3, true))),
            audited("user_removed", "bob", Some((1, true)), None),
            audited("user_removal_completed", "bob", None, None),
        ],
    }
}

/// A credential that node-1 makes. One without a user is revoked.
fn credential((user_id, device): (Option<i64>, &str), name: &str, serial: &str, certificate: &str) -> Credential {
    Credential {
        id: i64::from_str_radix(serial, 16).unwrap(),
        user_id,
        device: device.to_owned(),
        server_id: "node-1".to_owned(),
        common_name: name.to_owned(),
        serial: Some(serial.to_owned()),
        certificate: Some(certificate.to_owned()),
        profile: Some(format!("checksum-{serial}")),
        revoked: user_id.is_none(),
        created_at: now(),
    }
}

fn profile(certificate: &str) -> By {
    By::Profile(format!("<cert>\n{certificate}\n</cert>"))
}

fn listed_device(name: &str, credential: &str) -> Value {
    json!({ "name": name, "common_name": credential, "issued": true, "credentials": 1 })
}

fn server(name: &str) -> Server {
    Server {
        name: name.to_owned(),
        pool: "default".to_owned(),
    }
}

fn placement(server_id: &str, role: &str) -> Placement {
    Placement {
        user_id: 1,
        server_id: server_id.to_owned(),
        role: role.to_owned(),
        wanted_present: true,
        wanted_revision: 3,
        applied_revision: 3,
        published_revision: 3,
        outcome: Some("applied".to_owned()),
        error: None,
    }
}

fn node(id: &str, serials: &[(&str, &str)]) -> NodeView {
    let held = Held {
        username: "alice".to_owned(),
        revision: 3,
        applied_revision: 3,
        active: true,
        expires_at: None,
        removed_locally: false,
        outcome: Some("applied".to_owned()),
        credentials: BTreeSet::from([ALICE.to_owned()]),
    };
    let serials = serials
        .iter()
        .map(|(name, serial)| ((*name).to_owned(), (*serial).to_owned()));
    NodeView {
        id: id.to_owned(),
        mode: NodeMode::Managed,
        journal: Ok(NodeJournal {
            users: BTreeMap::from([("key-a".to_owned(), held)]),
            serials: serials.collect(),
        }),
        allowed: Ok(BTreeSet::from([ALICE.to_owned()])),
        places: BTreeMap::new(),
        pushed: String::new(),
    }
}

fn audited(action: &str, name: &str, before: Option<(i64, bool)>, after: Option<(i64, bool)>) -> Audited {
    let key = if name == "alice" { "key-a" } else { "key-b" };
    let snapshot = |(revision, active)| json!({ "username": name, "key": key, "revision": revision, "active": active, "expires_at": null, "group": "default", "limits": {}, "server_id": "node-1" });
    Audited {
        at: now(),
        server_id: "management".to_owned(),
        action: action.to_owned(),
        username: Some(name.to_owned()),
        request_id: None,
        details: None,
        before: before.map(snapshot),
        after: after.map(snapshot),
    }
}

/// A reissue of the device of every user that revokes its only profile.
fn reissued(name: &str, before: (i64, bool), after: (i64, bool)) -> Audited {
    let details = format!(
        "the new credential of the device default is {name}.cccccccccccccccc; 1 older ones were revoked (old_profiles: revoke)"
    );
    Audited {
        details: Some(details),
        ..audited("user_reissued", name, Some(before), Some(after))
    }
}

/// Groups that limit nothing, but for the sessions of the staff.
fn limiting() -> [Limiting; 2] {
    [("default", None), ("staff", Some(7))].map(|(name, sessions)| Limiting {
        name: name.to_owned(),
        devices: None,
        sessions,
    })
}

impl Fleet {
    fn told(&self) -> Vec<String> {
        let mut told = between(&self.inventory, &self.nodes, now());
        told.extend(answers_not_reflected(&self.people, &self.listed));
        told.extend(devices_not_reflected(&self.listed, &self.inventory));
        told.extend(otherwise_than_told(&self.people, &self.inventory, &self.nodes, now()));
        told.extend(issued_twice(&self.inventory, &self.nodes, &self.trail));
        told.extend(unaccounted(&self.people, &self.inventory, &self.trail));
        told.extend(misjudged(&self.listed, &limiting()));
        told.extend(left_open(&self.trail));
        told
    }

    fn journal(&mut self) -> &mut NodeJournal {
        self.nodes[1].journal.as_mut().unwrap()
    }

    fn held(&mut self) -> &mut Held {
        self.journal().users.get_mut("key-a").unwrap()
    }
}

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
