//! Who gets which profiles, and what the trail says of it.

use std::time::Duration;

use serde_json::{Value, json};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        credentials::revoke_node::NodeCredentials,
        devices::create::create_device,
        nodes::{
            change::{NodeChange, change_node},
            deregister::deregister_node,
        },
        placement::rehome::rehome_users,
        reissues::start::{Lost, StartReissueError, start_reissue},
        users::{read::UserView, reissue::OldProfiles},
    },
};
use vpnmanager_testbed::wait;

use super::{
    super::reissue_default, actor, audited, create_many_on, create_on, ended, enrol, fleet, go_on_to_the_end, issuers,
    node, now, progress, start, valid_credentials,
};
use crate::database::{number, run};
use crate::stack::Stack;

/// Makes standbys the homes of the users of a lost node.
async fn rehome(stack: &Stack, users: &[&UserView]) {
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'lost', lost_since = now() - interval '1 hour' WHERE name = 'node-1'",
    )
    .await;
    for user in users {
        let has_moved = async || {
            let rehomed = rehome_users(&stack.app, Duration::from_secs(60)).await;
            rehomed.is_ok() && now(stack, user).await.user.server_id != "node-1"
        };
        wait::until(wait::SOON, "another home", has_moved)
            .await
            .expect("in time");
    }
}

#[tokio::test]
async fn the_users_of_a_lost_disk_get_new_profiles_there_and_keep_the_old_ones() {
    let stack = fleet(2).await;
    let mut users = create_many_on(&stack, "node-1", 150).await;
    let other = create_on(&stack, "node-2", "other").await;
    let phone = "phone".parse().expect("the name of a device");
    let with_phone = create_device(&stack.app, &actor(), &users[0].user.username, &phone).await;
    users[0] = with_phone.expect("created").user;

    let begun = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");

    assert_eq!((begun.total, begun.ended_at, begun.stopped), (150, None, false));
    let ended = ended(&stack, "node-1").await;
    assert_eq!(
        (ended.total, ended.done, ended.unchanged, ended.failed),
        (150, 150, 0, 0)
    );
    assert!(!ended.stopped);
    assert_eq!(ended.failed_users, json!([]));
    assert_eq!(
        number(&stack.app.db, "SELECT count(*) FROM node_reissue_users").await,
        0
    );
    for (place, user) in users.iter().enumerate() {
        let made_by = issuers(&stack, user).await;
        assert_eq!(made_by, vec!["node-1"; if place == 0 { 4 } else { 2 }]);
        let now = now(&stack, user).await;
        assert_eq!(
            (now.user.revision, now.user.synced, now.user.checksum),
            (user.user.revision + 1, false, None)
        );
        assert_eq!(now.placements.len(), 2);
        for placement in now.placements {
            assert_eq!(
                (placement.wanted_revision, placement.urgent_since),
                (now.user.revision, None)
            );
        }
    }
    assert_eq!(issuers(&stack, &other).await, ["node-2"]);
    assert_eq!(now(&stack, &other).await.user.revision, other.user.revision);
}

#[tokio::test]
async fn the_trail_has_the_start_with_its_counts_each_user_and_the_end() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    ended(&stack, "node-1").await;

    let started = audited(&stack, AuditAction::NodeReissueStarted).await;
    assert_eq!(started.len(), 1);
    assert_eq!(
        (started[0].server_id.as_str(), started[0].actor.as_str()),
        ("node-1", "key:test")
    );
    assert_eq!(started[0].after, Some(json!({ "total": 1, "old_profiles": "keep" })));
    let reissued = audited(&stack, AuditAction::UserReissued).await;
    assert_eq!(reissued.len(), 1);
    let row = &reissued[0];
    assert_eq!(
        (row.username.as_deref(), row.actor.as_str()),
        (Some("alice"), "key:test")
    );
    let newest = valid_credentials(&stack, &alice)
        .await
        .pop()
        .expect("a credential")
        .common_name;
    let details =
        format!("the new credential of the device default is {newest}; the older ones stay valid (old_profiles: keep)");
    assert_eq!(row.details.as_deref(), Some(details.as_str()));
    let revision = |state: Option<&Value>| state.map(|state| state["revision"].clone());
    assert_eq!(revision(row.before.as_ref()), Some(json!(1)));
    assert_eq!(revision(row.after.as_ref()), Some(json!(2)));
    // The same text as of a single one.
    reissue_default(&stack, &alice.user.username).await;
    let newest = valid_credentials(&stack, &alice)
        .await
        .pop()
        .expect("a credential")
        .common_name;
    let single = audited(&stack, AuditAction::UserReissued).await.remove(1);
    let details =
        format!("the new credential of the device default is {newest}; the older ones stay valid (old_profiles: keep)");
    assert_eq!(
        (single.details, single.server_id),
        (Some(details), row.server_id.clone())
    );
    let completed = audited(&stack, AuditAction::NodeReissueCompleted).await;
    let completed: Vec<_> = completed.into_iter().map(|row| row.after).collect();
    let counts = json!({ "total": 1, "done": 1, "unchanged": 0, "failed": 0 });
    assert_eq!(completed, [Some(counts)]);
}

#[tokio::test]
async fn with_revoke_all_older_profiles_end_at_once_and_so_do_links() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    reissue_default(&stack, &alice.user.username).await;
    let link = format!(
        "INSERT INTO profile_links (hash, user_id, created_by, expires_at, uses_left)
         VALUES ('\\x01', {}, 'key:test', now() + interval '1 hour', 1)",
        alice.user.id
    );
    run(&stack.app.db, &link).await;
    stack.end_tasks().await;
    let older = valid_credentials(&stack, &alice).await;

    start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");
    go_on_to_the_end(&stack).await;

    let left = valid_credentials(&stack, &alice).await;
    assert_eq!((older.len(), left.len()), (2, 1));
    assert!(older.iter().all(|older| older.id < left[0].id));
    for placement in now(&stack, &alice).await.placements {
        assert!(placement.urgent_since.is_some(), "{placement:?}");
    }
    let ended = "SELECT count(*) FROM profile_links WHERE revoked_at IS NOT NULL";
    assert_eq!(number(&stack.app.db, ended).await, 1);
    let details = audited(&stack, AuditAction::UserReissued).await.remove(1).details;
    let expected = format!(
        "the new credential of the device default is {}; 2 older ones were revoked (old_profiles: revoke)",
        left[0].common_name
    );
    assert_eq!(details, Some(expected));
}

#[tokio::test]
async fn who_has_got_another_home_goes_on_with_what_that_makes() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    rehome(&stack, &[&alice]).await;
    let revision = now(&stack, &alice).await.user.revision;

    let begun = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");

    assert_eq!(begun.total, 1);
    let kept = ended(&stack, "node-1").await;
    assert_eq!((kept.done, kept.unchanged), (1, 1));
    assert_eq!(issuers(&stack, &alice).await, ["node-1", "node-2"]);
    assert_eq!(now(&stack, &alice).await.user.revision, revision);
    assert!(audited(&stack, AuditAction::UserReissued).await.is_empty());

    start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");

    let revoked = ended(&stack, "node-1").await;
    assert_eq!((revoked.done, revoked.unchanged), (1, 0));
    let left = valid_credentials(&stack, &alice).await;
    assert_eq!(issuers(&stack, &alice).await, ["node-2"]);
    assert_eq!(now(&stack, &alice).await.user.revision, revision + 1);
    let details = audited(&stack, AuditAction::UserReissued).await.remove(0).details;
    let expected = format!(
        "the device default goes on with {}, which is newer; 1 older ones were revoked (old_profiles: revoke)",
        left[0].common_name
    );
    assert_eq!(details, Some(expected));
}

#[tokio::test]
async fn who_has_no_access_gets_new_profiles_and_no_access() {
    let stack = fleet(1).await;
    let mut users = Vec::new();
    for username in ["alice", "bob", "carol", "dave"] {
        users.push(create_on(&stack, "node-1", username).await);
    }
    for state in [
        "active = false WHERE username = 'alice'",
        "over_quota_since = now() WHERE username = 'bob'",
        "expires_at = now() - interval '1 minute' WHERE username = 'carol'",
    ] {
        run(&stack.app.db, &format!("UPDATE users SET {state}")).await;
    }
    let state = async |user: &UserView| {
        let user = now(&stack, user).await.user;
        (user.active, user.over_quota_since, user.expires_at)
    };
    let mut before = Vec::new();
    for user in &users {
        before.push(state(user).await);
    }

    start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");

    let job = ended(&stack, "node-1").await;
    assert_eq!((job.total, job.done, job.unchanged, job.failed), (4, 4, 0, 0));
    for (user, before) in users.iter().zip(before) {
        assert_eq!(issuers(&stack, user).await.len(), 2);
        assert_eq!(state(user).await, before, "{}", user.user.username);
    }
}

#[tokio::test]
async fn who_gets_another_home_after_it_goes_on_with_the_profile_of_that() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    let first = start(&stack, "node-1", OldProfiles::Keep).await.expect("begun");
    ended(&stack, "node-1").await;
    assert_eq!(issuers(&stack, &alice).await, ["node-1", "node-1"]);
    rehome(&stack, &[&alice]).await;
    assert_eq!(issuers(&stack, &alice).await, ["node-1", "node-1", "node-2"]);

    let lost = Lost {
        old: OldProfiles::Revoke,
        made_before: Some(first.started_at),
    };
    let begun = start_reissue(&stack.app, &actor(), &node("node-1"), &lost).await;
    begun.expect("begun");

    let revoked = ended(&stack, "node-1").await;
    assert_eq!((revoked.done, revoked.unchanged), (1, 0));
    assert_eq!(issuers(&stack, &alice).await, ["node-2"]);
}

#[tokio::test]
async fn the_node_may_be_disabled_or_have_left_the_fleet() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    let disable = NodeChange::Disable(NodeCredentials::Keep);
    change_node(&stack.app, &actor(), &node("node-1"), disable)
        .await
        .expect("disabled");
    start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");
    ended(&stack, "node-1").await;
    // It still serves them.
    assert_eq!(issuers(&stack, &alice).await, ["node-1"]);

    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");
    assert_eq!(issuers(&stack, &alice).await, ["node-1", "node-2"]);
    let begun = start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");
    assert_eq!(begun.total, 1);
    ended(&stack, "node-1").await;
    assert_eq!(issuers(&stack, &alice).await, ["node-2"]);

    // Nothing is left of it, and what was done can be read all the same.
    let refused = start(&stack, "node-1", OldProfiles::Keep).await;
    assert!(matches!(refused, Err(StartReissueError::UnknownServer)), "{refused:?}");
    assert_eq!(progress(&stack, "node-1").await.old_profiles, OldProfiles::Revoke);
}

/// The device stays until a home is found.
#[tokio::test]
async fn who_is_on_no_node_gets_a_profile_from_the_next_home() {
    let stack = fleet(1).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep)
        .await
        .expect("deregistered");
    let old = valid_credentials(&stack, &alice).await.remove(0);

    start(&stack, "node-1", OldProfiles::Revoke).await.expect("begun");
    ended(&stack, "node-1").await;

    let waiting = valid_credentials(&stack, &alice).await;
    assert_eq!(waiting.len(), 1);
    assert_ne!(waiting[0].common_name, old.common_name);
    enrol(&stack, "node-2").await;
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'healthy', heard_since = now() - interval '1 day', last_sync = now()",
    )
    .await;
    stack.app.placer.wake();
    let is_placed = async || issuers(&stack, &alice).await == ["node-2"];
    wait::until(wait::SOON, "a home", is_placed).await.expect("in time");
}
