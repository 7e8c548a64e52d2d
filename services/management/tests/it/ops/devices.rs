//! Devices: each has credentials of its own, wherever they are given, replaced or revoked.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _};
use vpnmanager_entities::{credential, node_revocation};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        credentials::revoke_node::NodeCredentials,
        devices::{
            DeviceError,
            create::{CreateDeviceError, create_device},
            revoke::revoke_device,
        },
        nodes::deregister::deregister_node,
        placement::rehome::rehome_users,
        publications::claim::claim,
        reports::apply_reports::apply_reports,
        users::{
            read::UserView,
            reissue::{OldProfiles, ReissueError, reissue_profile},
            remove::remove_user,
        },
    },
};
use vpnmanager_nats::{
    acks::{Ack, FurtherIssued, Issued, Outcome},
    commands::{Command, PutUser},
    device::{DeviceName, MOST_DEVICES},
};
use vpnmanager_testbed::wait;

use super::{
    actor, applied, audited, create, create_on, enrol, fleet, issued, node, unpublish, valid_credentials, view,
};
use crate::database::run;
use crate::stack::Stack;

fn device(name: &str) -> DeviceName {
    name.parse().expect("the name of a device")
}

/// Gives the user another device.
async fn add(stack: &Stack, user: &UserView, name: &str) -> UserView {
    let created = create_device(&stack.app, &actor(), &user.user.username, &device(name)).await;
    created.expect("created").user
}

async fn revoke(stack: &Stack, user: &UserView, name: &str) -> UserView {
    let revoked = revoke_device(&stack.app, &actor(), &user.user.username, &device(name)).await;
    revoked.expect("revoked")
}

async fn reissue(stack: &Stack, user: &UserView, name: &str, old: OldProfiles) -> UserView {
    let reissued = reissue_profile(&stack.app, &actor(), &user.user.username, &device(name), old).await;
    reissued.expect("reissued")
}

/// The device and the node of each valid credential of a user, in order.
async fn valid(stack: &Stack, user: &UserView) -> Vec<(String, String)> {
    let mut valid: Vec<(String, String)> = valid_credentials(stack, user)
        .await
        .into_iter()
        .map(|credential| (credential.device.to_string(), credential.server_id.to_string()))
        .collect();
    valid.sort();
    valid
}

fn on(node: &str, devices: &[&str]) -> Vec<(String, String)> {
    devices
        .iter()
        .map(|device| ((*device).to_owned(), node.to_owned()))
        .collect()
}

/// What the only node is told of the only user.
async fn told(stack: &Stack) -> PutUser {
    unpublish(stack).await;
    let mut claims = claim(&stack.app.db).await.expect("claimed");
    assert_eq!(claims.len(), 1);
    match claims.remove(0).publication.command.body {
        Command::PutUser(put) => put,
        Command::RemoveUser(remove) => panic!("{remove:?}"),
    }
}

#[tokio::test]
async fn the_home_is_told_of_the_newest_credential_of_each_device_the_default_one_first() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    stack.end_tasks().await;
    add(&stack, &alice, "phone").await;
    add(&stack, &alice, "laptop").await;
    let alice = reissue(&stack, &alice, "default", OldProfiles::Keep).await;
    assert_eq!(alice.user.revision, 4);
    let all = valid_credentials(&stack, &alice).await;
    let [first, phone, laptop, second] = all.as_slice() else {
        panic!("four credentials");
    };

    let put = told(&stack).await;
    let issue = put.issue.expect("something to issue");
    assert_eq!(issue.common_name, second.common_name);
    assert_eq!(issue.further, [phone.common_name.clone(), laptop.common_name.clone()]);
    assert_eq!((put.credentials.len(), &put.credentials[0]), (4, &first.common_name));

    revoke(&stack, &alice, "default").await;
    let issue = told(&stack).await.issue.expect("something to issue");
    assert_eq!(issue.common_name, phone.common_name);
    assert_eq!(issue.further, std::slice::from_ref(&laptop.common_name));

    revoke(&stack, &alice, "phone").await;
    let alice = revoke(&stack, &alice, "laptop").await;
    let put = told(&stack).await;
    assert_eq!((put.issue, put.credentials), (None, Vec::new()));
    assert_eq!((put.revision.0, alice.user.revision), (7, 7));
}

#[tokio::test]
async fn a_user_is_synced_when_the_profile_of_each_device_is_recorded() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let alice = add(&stack, &alice, "laptop").await;
    let both = valid_credentials(&stack, &alice).await;
    let [default, laptop] = both.as_slice() else {
        panic!("two credentials");
    };
    let is_synced = async |ack: Ack| {
        apply_reports(&stack.app, &[ack], &[]).await.expect("recorded");
        view(&stack, "alice").await.expect("there").user.synced
    };

    // As an agent answers that knows of no devices.
    let first_only = issued(&stack, &alice, 2).await;
    assert!(!is_synced(first_only).await);
    let of_both = Ack {
        outcome: Outcome::Applied {
            issued: Some(Issued {
                common_name: default.common_name.clone(),
                profile_path: "/profiles/alice.ovpn".to_owned(),
                profile_checksum: "0b".repeat(32),
            }),
            further: vec![FurtherIssued {
                common_name: laptop.common_name.clone(),
                profile_checksum: "0c".repeat(32),
            }],
            note: None,
        },
        ..applied("node-1", &alice, 2)
    };
    assert!(is_synced(of_both).await);
    let checksums: Vec<Option<String>> = valid_credentials(&stack, &alice)
        .await
        .into_iter()
        .map(|credential| credential.profile_checksum)
        .collect();
    assert_eq!(checksums, [Some("0b".repeat(32)), Some("0c".repeat(32))]);
    let user = view(&stack, "alice").await.expect("there").user;
    assert_eq!(user.checksum, Some("0b".repeat(32)));
    assert_eq!(user.ovpn_path.as_deref(), Some("/profiles/alice.ovpn"));

    // The new profile of another device changes nothing of the default one, and is waited for.
    let alice = reissue(&stack, &alice, "laptop", OldProfiles::Revoke).await;
    assert_eq!((alice.user.checksum.clone(), alice.user.synced), (user.checksum, false));
    assert!(!is_synced(applied("node-1", &alice, 3)).await);
    let alice = revoke(&stack, &alice, "laptop").await;
    assert!(is_synced(applied("node-1", &alice, 4)).await);

    // Who has no device waits for no profile.
    let alice = revoke(&stack, &alice, "default").await;
    assert_eq!((&alice.user.checksum, &alice.user.ovpn_path), (&None, &None));
    assert!(!alice.user.synced);
    assert!(is_synced(applied("node-1", &alice, 5)).await);
}

#[tokio::test]
async fn a_revoked_device_takes_only_its_own_credentials_with_it_and_is_urgent() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let bob = create(&stack, "bob").await;
    stack.end_tasks().await;
    add(&stack, &bob, "laptop").await;
    add(&stack, &alice, "laptop").await;
    reissue(&stack, &alice, "laptop", OldProfiles::Keep).await;
    run(&stack.app.db, "UPDATE placements SET urgent_since = NULL").await;

    let revoked = revoke(&stack, &alice, "laptop").await;

    assert_eq!(valid(&stack, &alice).await, on("node-1", &["default"]));
    assert_eq!(valid(&stack, &bob).await, on("node-1", &["default", "laptop"]));
    let placement = &revoked.placements[0];
    assert_eq!((placement.wanted_revision, placement.urgent_since.is_some()), (4, true));
    let again = revoke_device(&stack.app, &actor(), &alice.user.username, &device("laptop")).await;
    assert!(matches!(again, Err(DeviceError::UnknownDevice(_))), "{again:?}");

    let created = audited(&stack, AuditAction::DeviceCreated).await;
    assert_eq!(created.len(), 2);
    let rows = audited(&stack, AuditAction::DeviceRevoked).await;
    let [row] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    assert_eq!(
        (row.username.as_deref(), row.actor.as_str()),
        (Some("alice"), "key:test")
    );
    let details = row.details.as_deref().expect("details");
    assert!(
        details.starts_with("the device laptop; revoked: alice.") && details.matches("alice.").count() == 2,
        "{details}"
    );
    let reissued = audited(&stack, AuditAction::UserReissued).await;
    let details = reissued[0].details.as_deref().expect("details");
    assert!(
        details.starts_with("the new credential of the device laptop is alice."),
        "{details}"
    );
}

#[tokio::test]
async fn nobody_gets_a_device_twice_or_one_too_many() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let name = &alice.user.username;
    let twice = create_device(&stack.app, &actor(), name, &device("default")).await;
    assert!(matches!(twice, Err(CreateDeviceError::NameTaken(_))), "{twice:?}");
    for number in 1..MOST_DEVICES {
        add(&stack, &alice, &format!("device-{number}")).await;
    }
    let more = create_device(&stack.app, &actor(), name, &device("more")).await;
    assert!(matches!(more, Err(CreateDeviceError::TooManyDevices)), "{more:?}");

    revoke(&stack, &alice, "default").await;
    add(&stack, &alice, "more").await;
    let again = reissue_profile(&stack.app, &actor(), name, &DeviceName::default(), OldProfiles::Keep).await;
    assert!(matches!(again, Err(ReissueError::TooManyDevices)), "{again:?}");
    revoke(&stack, &alice, "more").await;
    reissue(&stack, &alice, "default", OldProfiles::Keep).await;
    let unknown = reissue_profile(&stack.app, &actor(), name, &device("more"), OldProfiles::Keep).await;
    assert!(matches!(unknown, Err(ReissueError::UnknownDevice(_))), "{unknown:?}");
}

/// Two requests at once must not both find room for the last one.
#[tokio::test]
async fn of_two_who_create_the_last_device_at_once_one_does() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    for number in 2..MOST_DEVICES {
        add(&stack, &alice, &format!("device-{number}")).await;
    }
    let (by, name) = (actor(), &alice.user.username);
    let (phone, laptop) = (device("phone"), device("laptop"));
    let (one, other) = tokio::join!(
        create_device(&stack.app, &by, name, &phone),
        create_device(&stack.app, &by, name, &laptop)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(valid_credentials(&stack, &alice).await.len(), MOST_DEVICES);
}

#[tokio::test]
async fn of_two_who_create_one_device_at_once_one_does() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    let (by, name) = (actor(), &alice.user.username);
    let (laptop, twin) = (device("laptop"), device("LAPTOP"));
    let (one, other) = tokio::join!(
        create_device(&stack.app, &by, name, &laptop),
        create_device(&stack.app, &by, name, &twin)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert_eq!(valid_credentials(&stack, &alice).await.len(), 2);
}

/// With every credential that it ever got, and no device whose name only begins alike.
#[tokio::test]
async fn a_device_that_is_revoked_loses_all_its_profiles_and_no_other_one_does() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    for name in ["lap", "laptop"] {
        add(&stack, &alice, name).await;
    }
    reissue(&stack, &alice, "lap", OldProfiles::Keep).await;
    let elsewhere =
        "UPDATE credentials SET server_id = 'node-7' WHERE id = (SELECT min(id) FROM credentials WHERE device = 'lap')";
    run(&stack.app.db, elsewhere).await;
    revoke(&stack, &alice, "lap").await;
    assert_eq!(valid(&stack, &alice).await, on("node-1", &["default", "laptop"]));

    remove_user(&stack.app, &actor(), &alice.user.username)
        .await
        .expect("removed");
    assert_eq!(valid(&stack, &alice).await, []);
}

#[tokio::test]
async fn a_new_home_makes_a_profile_for_each_device() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    add(&stack, &alice, "laptop").await;
    add(&stack, &alice, "phone").await;
    revoke(&stack, &alice, "phone").await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'lost', lost_since = now() - interval '1 hour' WHERE name = 'node-1'",
    )
    .await;
    let moved = rehome_users(&stack.app, Duration::from_secs(60)).await.expect("moved");
    assert_eq!(moved.users, 1);

    let mut expected = on("node-1", &["default", "laptop"]);
    expected.extend(on("node-2", &["default", "laptop"]));
    expected.sort();
    assert_eq!(valid(&stack, &alice).await, expected);
}

#[tokio::test]
async fn devices_whose_node_was_stolen_get_new_credentials_and_no_others() {
    let stack = fleet(3).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    add(&stack, &alice, "laptop").await;
    add(&stack, &alice, "phone").await;
    revoke(&stack, &alice, "phone").await;
    // Only her laptop has one of the stolen node.
    let bob = create_on(&stack, "node-2", "bob").await;
    add(&stack, &bob, "laptop").await;
    let theirs = format!(
        "UPDATE credentials SET server_id = 'node-1' WHERE device = 'laptop' AND user_id = {}",
        bob.user.id
    );
    run(&stack.app.db, &theirs).await;
    let default_of_bob = valid_credentials(&stack, &bob).await.remove(0);

    deregister(&stack, "node-1").await;

    let home = view(&stack, "alice").await.expect("there").user.server_id.to_string();
    assert_ne!(home, "node-1");
    assert_eq!(valid(&stack, &alice).await, on(&home, &["default", "laptop"]));
    assert_eq!(valid(&stack, &bob).await, on("node-2", &["default", "laptop"]));
    assert_eq!(
        valid_credentials(&stack, &bob).await[0].common_name,
        default_of_bob.common_name
    );
}

async fn deregister(stack: &Stack, id: &str) {
    deregister_node(&stack.app, &actor(), &node(id), NodeCredentials::Revoke)
        .await
        .expect("deregistered");
    let done = async || {
        let left = node_revocation::Entity::find().count(&stack.app.db).await;
        left.is_ok_and(|left| left == 0)
    };
    wait::until(wait::SOON, "the revocation to end", done)
        .await
        .expect("in time");
}

#[tokio::test]
async fn who_is_on_no_node_keeps_her_devices_until_she_gets_a_home() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    add(&stack, &alice, "laptop").await;
    let bob = create(&stack, "bob").await;
    revoke(&stack, &bob, "default").await;
    let before = valid_credentials(&stack, &alice).await;

    deregister(&stack, "node-1").await;
    let names: Vec<String> = valid(&stack, &alice).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["default", "laptop"]);
    let is_new = |credential: &credential::Model| before.iter().all(|old| old.common_name != credential.common_name);
    assert!(valid_credentials(&stack, &alice).await.iter().all(is_new));

    enrol(&stack, "node-2").await;
    let placed = async || {
        let mut placed = true;
        for username in ["alice", "bob"] {
            placed &= view(&stack, username)
                .await
                .is_some_and(|user| user.user.server_id == "node-2");
        }
        placed
    };
    wait::until(wait::SOON, "both to be placed", placed)
        .await
        .expect("in time");
    assert_eq!(valid(&stack, &alice).await, on("node-2", &["default", "laptop"]));
    assert!(valid_credentials(&stack, &bob).await.is_empty());
}

/// The database says the same as the API about what is the name of a device.
#[tokio::test]
async fn a_credential_is_for_a_device_with_a_valid_name() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    let (longest, longer) = ("x".repeat(32), "x".repeat(33));
    for (name, is_valid) in [
        ("a", true),
        ("My.phone_2-b", true),
        (longest.as_str(), true),
        (longer.as_str(), false),
        ("", false),
        (".a", false),
        ("a b", false),
        ("a\n", false),
    ] {
        assert_eq!(name.parse::<DeviceName>().is_ok(), is_valid, "{name:?}");
        let update = format!("UPDATE credentials SET device = '{name}'");
        let updated = stack.app.db.execute_unprepared(&update).await;
        assert_eq!(updated.is_ok(), is_valid, "{name:?}");
    }
}
