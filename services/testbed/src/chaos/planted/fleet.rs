//! A correct fleet, as everything that looks at it sees it, and all checks of it at once.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::stack::NodeMode;

use crate::chaos::{
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
pub(super) struct Fleet {
    pub(super) people: Vec<Person>,
    pub(super) listed: BTreeMap<String, Listed>,
    pub(super) inventory: Inventory,
    pub(super) nodes: Vec<NodeView>,
    pub(super) trail: Vec<Audited>,
}

pub(super) const ALICE: &str = "alice.aaaaaaaaaaaaaaaa";
pub(super) const BOB: &str = "bob.bbbbbbbbbbbbbbbb";

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

pub(super) fn in_order() -> Fleet {
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
pub(super) fn credential(
    (user_id, device): (Option<i64>, &str),
    name: &str,
    serial: &str,
    certificate: &str,
) -> Credential {
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

pub(super) fn profile(certificate: &str) -> By {
    By::Profile(format!("<cert>\n{certificate}\n</cert>"))
}

pub(super) fn listed_device(name: &str, credential: &str) -> Value {
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

pub(super) fn node(id: &str, serials: &[(&str, &str)]) -> NodeView {
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

pub(super) fn audited(action: &str, name: &str, before: Option<(i64, bool)>, after: Option<(i64, bool)>) -> Audited {
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
pub(super) fn reissued(name: &str, before: (i64, bool), after: (i64, bool)) -> Audited {
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
    pub(super) fn told(&self) -> Vec<String> {
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

    pub(super) fn journal(&mut self) -> &mut NodeJournal {
        self.nodes[1].journal.as_mut().unwrap()
    }

    pub(super) fn held(&mut self) -> &mut Held {
        self.journal().users.get_mut("key-a").unwrap()
    }
}
