//! Violations about devices.

use super::*;

const PHONE: &str = "alice.dddddddddddddddd";
const TABLET: &str = "alice.eeeeeeeeeeeeeeee";

/// Alice got a phone and a tablet too, and the tablet was revoked.
fn with_devices() -> Fleet {
    let mut fleet = in_order();
    let alice = &mut fleet.people[0];
    for (device, name) in [(Device::Phone, PHONE), (Device::Tablet, TABLET)] {
        alice.note(&Operation::AddDevice { device }, &Answer::Done).unwrap();
        alice.learn(device, By::Name(name.to_owned()));
    }
    alice.learn(Device::Phone, profile("PHONE"));
    let device = Device::Tablet;
    alice.note(&Operation::RevokeDevice { device }, &Answer::Done).unwrap();
    let devices = &mut fleet.listed.get_mut("alice").unwrap().devices;
    devices.push(listed_device("phone", PHONE));

    let inventory = &mut fleet.inventory;
    inventory.users[0].revision = 6;
    for placement in &mut inventory.placements {
        placement.wanted_revision = 6;
        placement.applied_revision = 6;
    }
    inventory
        .credentials
        .push(credential((Some(1), "phone"), PHONE, "0d", "PHONE"));
    let mut tablet = credential((Some(1), device.name()), TABLET, "0e", "TABLET");
    tablet.revoked = true;
    inventory.credentials.push(tablet);
    for node in &mut fleet.nodes {
        node.allowed.as_mut().unwrap().insert(PHONE.to_owned());
        let held = node.journal.as_mut().unwrap().users.get_mut("key-a").unwrap();
        held.revision = 6;
        held.applied_revision = 6;
        held.credentials.insert(PHONE.to_owned());
    }
    let change = |action: &str, before: i64, details: String| Audited {
        details: Some(details),
        ..audited(action, "alice", Some((before, true)), Some((before + 1, true)))
    };
    let name = device.name();
    fleet.trail.extend([
        change(
            "device_created",
            3,
            format!("the device phone; its credential is {PHONE}"),
        ),
        change(
            "device_created",
            4,
            format!("the device {name}; its credential is {TABLET}"),
        ),
        change("device_revoked", 5, format!("the device {name}; revoked: {TABLET}")),
    ]);
    fleet
}

fn listed_phone(fleet: &mut Fleet) -> &mut Value {
    &mut fleet.listed.get_mut("alice").unwrap().devices[1]
}

fn phone(fleet: &mut Fleet) -> &mut Credential {
    &mut fleet.inventory.credentials[2]
}

fn tablet(fleet: &mut Fleet) -> &mut Credential {
    &mut fleet.inventory.credentials[3]
}

#[test]
fn a_fleet_with_devices_has_nothing_to_tell() {
    assert_eq!(with_devices().told(), Vec::<String>::new());
}

/// As after its home lost the journal with the key before the profile was made.
#[test]
fn a_device_whose_profile_is_lost_has_nothing_to_tell() {
    let mut fleet = with_devices();
    phone(&mut fleet).profile = None;
    listed_phone(&mut fleet)["issued"] = json!(false);
    fleet.inventory.users[0].synced = false;
    assert_eq!(fleet.told(), ["alice is not synced"]);
    fleet.inventory.placements[0].error = Some("its key was lost".to_owned());
    assert_eq!(fleet.told(), Vec::<String>::new());
}

#[test]
fn devices_that_are_listed_otherwise_are_told() {
    each_is_told_of(
        with_devices,
        &[
            ("{Default}), and by all answers", |fleet| {
                drop(fleet.listed.get_mut("alice").unwrap().devices.pop());
            }),
            ("without what a user has", |fleet| {
                listed_phone(fleet)["name"] = json!("toaster");
            }),
            ("the devices of alice are listed as", |fleet| {
                listed_phone(fleet)["issued"] = json!(false);
            }),
            ("the devices of alice are listed as", |fleet| {
                listed_phone(fleet)["credentials"] = json!(2);
            }),
            ("the devices of alice are listed as", |fleet| {
                listed_phone(fleet)["common_name"] = json!(ALICE);
            }),
            ("alice is synced, and the device phone has no profile", |fleet| {
                phone(fleet).profile = None;
            }),
        ],
    );
}

#[test]
fn a_credential_that_is_otherwise_than_its_device_is_told() {
    each_is_told_of(
        with_devices,
        &[
            ("of the device phone, is revoked, and no answer said so", |fleet| {
                phone(fleet).revoked = true;
            }),
            ("has no user any more, and no answer said so", |fleet| {
                phone(fleet).user_id = None;
            }),
            (
                "of the device phone, was answered as there and is not let in on node-2",
                |fleet| {
                    fleet.nodes[1].allowed.as_mut().unwrap().remove(PHONE);
                },
            ),
            ("was revoked by an answer and is let in on node-2", |fleet| {
                fleet.nodes[1].allowed.as_mut().unwrap().insert(TABLET.to_owned());
            }),
            ("was revoked by an answer and is held by node-2", |fleet| {
                fleet.held().credentials.insert(TABLET.to_owned());
            }),
            ("was revoked by an answer and is valid", |fleet| {
                tablet(fleet).revoked = false;
            }),
            (
                "a credential of the device phone of alice was that of alice.dddddddddddddddd, of the device laptop",
                |fleet| phone(fleet).device = "laptop".to_owned(),
            ),
            (
                "a credential of the device phone of alice was one that is not recorded",
                |fleet| {
                    fleet.people[0].learn(Device::Phone, By::Name("alice.ffffffffffffffff".to_owned()));
                },
            ),
        ],
    );
}

#[test]
fn a_profile_of_a_device_that_was_issued_twice_is_told() {
    each_is_told_of(
        with_devices,
        &[
            ("share the profile checksum-0a", |fleet| {
                phone(fleet).profile = Some("checksum-0a".to_owned());
            }),
            ("and are {\"default\": 1, \"phone\": 2}", |fleet| {
                let mut second = phone(fleet).clone();
                second.common_name = "alice.ffffffffffffffff".to_owned();
                fleet.inventory.credentials.push(second);
            }),
            ("should be {\"default\": 1, \"phone\": 1} and are", |fleet| {
                tablet(fleet).revoked = false;
            }),
            ("the device phone of alice has no certificate", |fleet| {
                phone(fleet).certificate = None;
            }),
            (
                "the device phone of alice has no credential of the home node-1",
                |fleet| phone(fleet).server_id = "node-2".to_owned(),
            ),
        ],
    );
}

#[test]
fn a_device_that_the_audit_trail_does_not_account_for_is_told() {
    each_is_told_of(
        with_devices,
        &[
            ("device_revoked of alice 0 times", |fleet| drop(fleet.trail.pop())),
            ("device_created of alice 3 times", |fleet| {
                let again = fleet.trail[6].clone();
                fleet.trail.push(again);
            }),
            ("creates the device phone of alice, which was there", |fleet| {
                let again = fleet.trail[6].clone();
                fleet.trail.push(again);
            }),
            ("device_created of alice without its device", |fleet| {
                fleet.trail[6].details = None;
            }),
            ("device_created of alice from", |fleet| {
                fleet.trail[6].after.as_mut().unwrap()["active"] = json!(false);
            }),
            ("device_revoked of alice from", |fleet| {
                fleet.trail[8].after.as_mut().unwrap()["revision"] = json!(9);
            }),
            ("which had 1", |fleet| {
                fleet.trail[8]
                    .details
                    .as_mut()
                    .unwrap()
                    .push_str(", alice.ffffffffffffffff");
            }),
            (
                "has alice.ffffffffffffffff of the device phone of alice, and it is not recorded",
                |fleet| {
                    let details = "the device phone; its credential is alice.ffffffffffffffff";
                    fleet.trail[6].details = Some(details.to_owned());
                },
            ),
            ("(revoked: true), and there is Credential", |fleet| {
                tablet(fleet).revoked = false;
            }),
        ],
    );
}
