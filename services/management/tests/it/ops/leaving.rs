//! Users leave a node some at a time, when it is deregistered, moves to another pool, or is configured anew.

use std::{future::Future, num::NonZeroU32};

use chrono::{TimeDelta, Utc};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use vpnmanager_entities::placement::Role;
use vpnmanager_management::{
    domain::{audit_action::AuditAction, placement::Goal},
    ops::{
        credentials::revoke_node::NodeCredentials,
        nodes::{
            answer_sync::answer_sync,
            change::{ChangeNodeError, NodeChange, change_node},
            deregister::{DeregisterNodeError, deregister_node},
            leave::{Way, leave_pool},
            move_node::move_node,
            read::get_node,
        },
        placement::fill::place_users,
        users::remove::remove_user,
    },
};
use vpnmanager_nats::{
    commands::Protocol,
    endpoint::Endpoint,
    sync::{SyncAnswer, SyncRequest},
};
use vpnmanager_testbed::wait;

use super::{actor, audited, create, create_on, enrol, fleet, node, server_of, sync::request, totals::compare, view};
use crate::{
    database::{number, run},
    stack::Stack,
};

/// A fleet of two without background tasks, and 1,201 users with their homes on node-1.
async fn full() -> Stack {
    let stack = fleet(2).await;
    create(&stack, "alice").await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "UPDATE placements SET role = CASE server_id WHEN 'node-1' THEN 'home' ELSE 'standby' END;
         UPDATE users SET server_id = 'node-1';
         WITH made AS (
             INSERT INTO users (key, username, server_id, created_by)
             SELECT gen_random_uuid(), 'user' || n, 'node-1', 'test' FROM generate_series(1, 1200) n RETURNING id)
         INSERT INTO placements (user_id, server_id, role, wanted_revision)
         SELECT id, node, role, 1 FROM made, (VALUES ('node-1', 'home'), ('node-2', 'standby')) AS on_each (node, role)",
    )
    .await;
    stack
}

/// Lets the change go on until it waits for the last user, whom somebody else is changing, and all others have left: `left` counts those that
/// have not. Then alice loses her access although the change is not at its end.
async fn ends_access_meanwhile<T>(stack: &Stack, left: &str, change: impl Future<Output = T>) -> T {
    let db = &stack.app.db;
    let somebody = db.begin().await.expect("begun");
    let last = "SELECT id FROM users ORDER BY id DESC LIMIT 1 FOR UPDATE";
    somebody.execute_unprepared(last).await.expect("locked");
    let meanwhile = async {
        wait::until(wait::SOON, "one is left", async || number(db, left).await == 1)
            .await
            .expect("the others have left");
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        wait::until(wait::SOON, "it waits for the last", async || {
            number(db, waits).await == 1
        })
        .await
        .expect("it waits");
        let alice = "alice".parse().expect("a username");
        let removed = tokio::time::timeout(wait::SOON, remove_user(&stack.app, &actor(), &alice)).await;
        removed.expect("it waited").expect("removed");
        assert_eq!(number(db, left).await, 1, "it is not at its end");
        somebody.rollback().await.expect("unlocked");
    };
    let (done, ()) = tokio::join!(change, meanwhile);
    assert_eq!(number(db, left).await, 0);
    done
}

#[tokio::test]
async fn a_deregistration_holds_up_no_revocation() {
    let stack = full().await;
    let node_1 = node("node-1");
    let admin = actor();
    let change = deregister_node(&stack.app, &admin, &node_1, NodeCredentials::Keep);

    let left = "SELECT count(*) FROM placements WHERE server_id = 'node-1'";
    ends_access_meanwhile(&stack, left, change).await.expect("deregistered");

    assert!(get_node(&stack.app, &node_1).await.expect("read").is_none());
    for username in ["user1", "user1200"] {
        let user = view(&stack, username).await.expect("there");
        assert_eq!(user.user.server_id, node("node-2"));
        assert_eq!((user.placements.len(), user.placements[0].role), (1, Role::Home));
        assert_eq!(user.placements[0].wanted_revision, user.user.revision);
    }
    let entries = audited(&stack, AuditAction::NodeDeregistered).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].details.as_deref(), Some("1201 users were homed on it"));
    compare(&stack).await;
}

#[tokio::test]
async fn a_move_holds_up_no_revocation() {
    let stack = full().await;
    let (node_1, sales) = (node("node-1"), node("sales"));
    let admin = actor();
    let change = move_node(&stack.app, &admin, &node_1, &sales);

    let left = "SELECT count(*) FROM users WHERE server_id = 'node-1'";
    let moved = ends_access_meanwhile(&stack, left, change).await.expect("moved");

    assert_eq!(
        (moved.server.pool.as_str(), moved.server.leaving_since),
        ("sales", None)
    );
    let wanted = "SELECT count(*) FROM placements WHERE server_id = 'node-1' AND wanted_present";
    assert_eq!(number(&stack.app.db, wanted).await, 0);
    let entries = audited(&stack, AuditAction::NodeMoved).await;
    assert_eq!(entries.len(), 1);
    let details = "1201 users leave it, of whom 1201 were homed on it";
    assert_eq!(entries[0].details.as_deref(), Some(details));
    compare(&stack).await;
}

#[tokio::test]
async fn a_changed_endpoint_holds_up_no_revocation() {
    let stack = full().await;
    let told = SyncRequest {
        endpoint: Some(Endpoint {
            host: None,
            port: 443.try_into().expect("a port"),
            protocol: Protocol::Tcp,
            listeners: None,
            pool: node("default"),
            capacity: NonZeroU32::new(50).expect("a number"),
        }),
        ..request("node-1")
    };

    let left = "SELECT count(*) FROM users WHERE (port, protocol) IS DISTINCT FROM (443, 'tcp')";
    let answered = ends_access_meanwhile(&stack, left, answer_sync(&stack.app, &told)).await;

    answered.expect("answered");
    assert_eq!(audited(&stack, AuditAction::NodeEndpointChanged).await.len(), 1);
}

/// As it is after a management that died, or a caller that went away.
#[tokio::test]
async fn a_node_whose_way_was_interrupted_goes_on() {
    let stack = fleet(3).await;
    create(&stack, "alice").await;
    run(
        &stack.app.db,
        "UPDATE servers SET leaving_since = now(), leaving_for = CASE name WHEN 'node-2' THEN 'sales' END
         WHERE name IN ('node-1', 'node-2')",
    )
    .await;

    let gone = async || get_node(&stack.app, &node("node-1")).await.expect("read").is_none();
    wait::until(wait::SOON, "the deregistered node is gone", gone)
        .await
        .expect("gone");
    let moved = async || {
        let server = server_of(&stack, "node-2").await;
        server.pool == "sales" && server.leaving_since.is_none()
    };
    wait::until(wait::SOON, "the other one is in its pool", moved)
        .await
        .expect("moved");
    let homed = async || view(&stack, "alice").await.expect("there").user.server_id == node("node-3");
    wait::until(wait::SOON, "alice is homed on the third", homed)
        .await
        .expect("homed");
}

#[tokio::test]
async fn what_the_bus_did_not_take_is_tried_again_until_the_node_is_gone() {
    let mut stack = fleet(2).await;
    create(&stack, "alice").await;
    stack.nats.kill().await;
    let away = deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep).await;
    assert!(
        matches!(
            away,
            Err(DeregisterNodeError::Revoke(_) | DeregisterNodeError::Topology(_))
        ),
        "{away:?}"
    );
    assert!(server_of(&stack, "node-1").await.is_deregistered());
    assert_eq!(
        view(&stack, "alice").await.expect("there").user.server_id,
        node("node-2"),
        "users wait for no bus"
    );

    stack.nats.restart().await.expect("a server");
    let gone = async || get_node(&stack.app, &node("node-1")).await.expect("read").is_none();
    wait::until(wait::SOON * 3, "the node is gone", gone)
        .await
        .expect("gone");
}

#[tokio::test]
async fn a_node_that_is_leaving_the_fleet_is_no_part_of_it() {
    let stack = full().await;
    run(
        &stack.app.db,
        "UPDATE servers SET leaving_since = now() WHERE name = 'node-1'",
    )
    .await;

    let answer = answer_sync(&stack.app, &request("node-1")).await.expect("answered");
    assert!(matches!(answer, SyncAnswer::Refused { .. }), "{answer:?}");
    let changed = change_node(&stack.app, &actor(), &node("node-1"), NodeChange::Drain).await;
    assert!(matches!(changed, Err(ChangeNodeError::UnknownServer)), "{changed:?}");
    let moved = move_node(&stack.app, &actor(), &node("node-1"), &node("sales")).await;
    assert!(moved.is_err());

    // Who asks once more gets what was asked for.
    let again = deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep).await;
    again.expect("deregistered");
    assert!(get_node(&stack.app, &node("node-1")).await.expect("read").is_none());
    let entries = audited(&stack, AuditAction::NodeDeregistered).await;
    assert!(entries.is_empty(), "it was recorded when it began");
}

#[tokio::test]
async fn a_move_ends_where_it_is_taken_back_or_nobody_takes_the_users() {
    let stack = full().await;
    run(
        &stack.app.db,
        "UPDATE servers SET leaving_since = now(), leaving_for = 'sales' WHERE name = 'node-1'",
    )
    .await;
    let back = move_node(&stack.app, &actor(), &node("node-1"), &node("default")).await;
    let back = back.expect("it stays").server;
    assert_eq!((back.pool.as_str(), back.leaving_since), ("default", None));
    assert_eq!(
        number(&stack.app.db, "SELECT count(*) FROM users WHERE server_id = 'node-1'").await,
        1201
    );

    // The only other node was disabled while the users left.
    run(
        &stack.app.db,
        "UPDATE servers SET leaving_since = now(), leaving_for = 'sales' WHERE name = 'node-1';
         UPDATE servers SET enabled = false WHERE name = 'node-2'",
    )
    .await;
    let blocked = leave_pool(&stack.app, &node("node-1")).await;
    assert_eq!(blocked.expect("done"), Way::Blocked);
    let server = server_of(&stack, "node-1").await;
    assert_eq!((server.pool.as_str(), server.leaving_since), ("default", None));
    let details: Vec<_> = audited(&stack, AuditAction::NodeMoved)
        .await
        .into_iter()
        .filter_map(|entry| entry.details)
        .collect();
    assert_eq!(
        details,
        [
            "it stays after all",
            "it stays: no other server of its pool takes its users any more"
        ]
    );
}

/// The last node of a pool goes. Its users must not end up in another network.
#[tokio::test]
async fn users_of_a_deregistered_node_stay_in_its_pool_and_wait_for_a_node_of_it() {
    let stack = fleet(3).await;
    let db = &stack.app.db;
    run(
        db,
        "UPDATE servers SET pool = CASE name WHEN 'node-1' THEN 'sales' WHEN 'node-3' THEN 'stores' ELSE pool END",
    )
    .await;
    create_on(&stack, "node-1", "alice").await;
    stack.end_tasks().await;
    let goal = Goal {
        replicas: 2,
        lost_before: Utc::now() - TimeDelta::hours(1),
    };

    let deregistered = deregister_node(&stack.app, &actor(), &node("node-1"), NodeCredentials::Keep).await;
    deregistered.expect("deregistered");
    assert_eq!(place_users(db, goal).await.expect("looked").users, 0);
    assert!(view(&stack, "alice").await.expect("there").placements.is_empty());

    // A server of that name comes back, for others.
    run(db, "DELETE FROM certificates WHERE server_id = 'node-2'").await;
    run(db, "UPDATE servers SET name = 'node-1' WHERE name = 'node-2'").await;
    assert_eq!(place_users(db, goal).await.expect("looked").users, 0);

    run(
        db,
        "UPDATE servers SET pool = 'sales', public_port = 443, public_protocol = 'tcp' WHERE name = 'node-3'",
    )
    .await;
    assert_eq!(place_users(db, goal).await.expect("looked").users, 1);
    let alice = view(&stack, "alice").await.expect("there");
    assert_eq!((alice.placements.len(), &alice.user.server_id), (1, &node("node-3")));
    assert_eq!((alice.user.port, alice.user.protocol), (443, Protocol::Tcp));
    assert_eq!(alice.user.former_pool, None);
}

/// Somebody else takes users off the same node, and has all of them locked. Who finds that waits, and holds nothing meanwhile: in one transaction
/// with all users it would hold up publications, and whoever enrols or deregisters a node.
#[tokio::test]
async fn who_finds_all_users_locked_takes_them_off_in_no_one_transaction() {
    let stack = full().await;
    let db = &stack.app.db;
    let (node_1, admin) = (node("node-1"), actor());
    let somebody = db.begin().await.expect("begun");
    somebody
        .execute_unprepared("SELECT id FROM users ORDER BY id FOR UPDATE")
        .await
        .expect("locked");
    let change = deregister_node(&stack.app, &admin, &node_1, NodeCredentials::Keep);
    let meanwhile = async {
        let looks = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT user_id AS id FROM placements%OFFSET%'";
        wait::until(wait::SOON, "it looks whether many are left", async || {
            number(db, looks).await > 0
        })
        .await
        .expect("it looks");
        tokio::time::timeout(wait::SOON, enrol(&stack, "node-9"))
            .await
            .expect("another node enrols");
        somebody.rollback().await.expect("unlocked");
    };
    let (deregistered, ()) = tokio::join!(change, meanwhile);
    deregistered.expect("deregistered");
    assert_eq!(
        number(db, "SELECT count(*) FROM placements WHERE server_id = 'node-1'").await,
        0
    );
    compare(&stack).await;
}
