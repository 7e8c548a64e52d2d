//! The credentials of a node whose keys others may have.

use std::time::Duration;

use poem::http::StatusCode;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::json;
use vpnmanager_entities::{credential, node_revocation};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        credentials::revoke_node::{NodeCredentials, revoke_some},
        nodes::{
            change::{NodeChange, change_node},
            deregister::{DeregisterNodeError, deregister_node},
        },
        placement::rehome::rehome_users,
    },
};
use vpnmanager_testbed::wait;

use super::{actor, audited, create, create_on, enrol, fleet, issuers, node, view};
use crate::database::run;
use crate::stack::{Stack, WithKey as _, problem_of};

async fn deregister(stack: &Stack, id: &str, credentials: NodeCredentials) -> Result<(), DeregisterNodeError> {
    deregister_node(&stack.app, &actor(), &node(id), credentials).await
}

async fn is_done(stack: &Stack) {
    let done = async || {
        node_revocation::Entity::find()
            .count(&stack.app.db)
            .await
            .is_ok_and(|left| left == 0)
    };
    wait::until(wait::SOON, "the revocation to end", done)
        .await
        .expect("in time");
}

#[tokio::test]
async fn a_stolen_node_is_deregistered_with_all_credentials_that_it_ever_made() {
    let stack = fleet(3).await;
    let other = create_on(&stack, "node-2", "other").await;
    let was_here = create_on(&stack, "node-1", "was-here").await;
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'lost', lost_since = now() - interval '1 hour' WHERE name = 'node-1'",
    )
    .await;
    let moved = async || {
        let rehomed = rehome_users(&stack.app, Duration::from_secs(60)).await;
        rehomed.is_ok()
            && view(&stack, "was-here")
                .await
                .is_some_and(|user| user.user.server_id != "node-1")
    };
    wait::until(wait::SOON, "a user to have left", moved)
        .await
        .expect("in time");
    run(&stack.app.db, "UPDATE servers SET state = 'healthy', lost_since = NULL").await;
    let mut users = Vec::new();
    for number in 0..250 {
        users.push(create_on(&stack, "node-1", &format!("user{number}")).await);
    }
    let revision_of_other = view(&stack, "other").await.expect("there").user.revision;

    deregister(&stack, "node-1", NodeCredentials::Revoke)
        .await
        .expect("deregistered");
    is_done(&stack).await;

    let left = credential::Entity::find()
        .filter(credential::COLUMN.revoked_at.is_null())
        .order_by_asc(credential::Column::Id)
        .all(&stack.app.db)
        .await
        .expect("read");
    assert!(left.iter().all(|row| row.server_id != "node-1"), "{left:?}");
    for user in users.iter().chain([&was_here]) {
        let now = view(&stack, &user.user.username.to_string()).await.expect("there");
        assert_eq!(issuers(&stack, user).await, [now.user.server_id.to_string()]);
        assert_eq!(now.placements.len(), 2);
        for placement in &now.placements {
            assert_eq!(placement.wanted_revision, now.user.revision);
        }
    }
    assert_eq!(issuers(&stack, &other).await, ["node-2"]);
    let others = audited(&stack, AuditAction::UserCredentialsRevoked).await;
    assert_eq!(others.len(), 251);
    assert!(
        others
            .iter()
            .all(|row| row.server_id == "node-1" && row.actor == "key:test")
    );
    let receipts = audited(&stack, AuditAction::NodeRevocationCompleted).await;
    let receipts: Vec<_> = receipts.into_iter().map(|row| row.after).collect();
    assert_eq!(receipts, [Some(json!({ "users": 251, "credentials": 251 }))]);
    assert_eq!(audited(&stack, AuditAction::NodeRevocationStarted).await.len(), 1);
    // It lost a placement at most, and got another one in its place.
    assert!(view(&stack, "other").await.expect("there").user.revision <= revision_of_other + 2);
}

/// Whoever has such a key may be connected: the revocation overtakes other commands, also where a user gets another home with it.
#[tokio::test]
async fn what_a_node_made_is_revoked_before_all_else() {
    let stack = fleet(3).await;
    let at_home = create_on(&stack, "node-1", "at-home").await;
    let moved = create_on(&stack, "node-1", "moved").await;
    let sql = format!("UPDATE users SET server_id = 'node-2' WHERE id = {}", moved.user.id);
    stack.end_tasks().await;
    run(&stack.app.db, &sql).await;
    let disable = NodeChange::Disable(NodeCredentials::Revoke);
    change_node(&stack.app, &actor(), &node("node-1"), disable)
        .await
        .expect("disabled");
    while revoke_some(&stack.app.db).await.expect("revoked").more {}

    for user in [at_home, moved] {
        let now = view(&stack, user.user.username.as_str()).await.expect("there");
        assert_ne!(now.user.server_id, node("node-1"));
        for placement in now.placements {
            assert!(placement.urgent_since.is_some(), "{placement:?}");
        }
    }
}

#[tokio::test]
async fn credentials_are_kept_unless_asked_and_may_be_revoked_afterwards() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    deregister(&stack, "node-1", NodeCredentials::Keep)
        .await
        .expect("deregistered");
    assert_eq!(issuers(&stack, &alice).await, ["node-1", "node-2"]);

    // A node that enrols under the name makes credentials of its own.
    enrol(&stack, "node-1").await;
    let bob = create_on(&stack, "node-1", "bob").await;
    run(&stack.app.db, "DELETE FROM placements WHERE server_id = 'node-1'").await;
    deregister(&stack, "node-1", NodeCredentials::Keep)
        .await
        .expect("deregistered");
    assert_eq!(issuers(&stack, &bob).await, ["node-1", "node-2"]);

    deregister(&stack, "node-1", NodeCredentials::Revoke)
        .await
        .expect("asked for");
    is_done(&stack).await;
    assert_eq!(issuers(&stack, &alice).await, ["node-2"]);
    assert_eq!(issuers(&stack, &bob).await, ["node-2"]);
    let again = deregister(&stack, "node-1", NodeCredentials::Revoke).await;
    assert!(matches!(again, Err(DeregisterNodeError::UnknownServer)), "{again:?}");
}

#[tokio::test]
async fn what_a_crash_interrupts_goes_on_where_it_was() {
    let stack = fleet(2).await;
    for number in 0..250 {
        create_on(&stack, "node-1", &format!("user{number}")).await;
    }
    stack.end_tasks().await;
    deregister(&stack, "node-1", NodeCredentials::Revoke)
        .await
        .expect("deregistered");
    // A name that comes back meanwhile is another node.
    enrol(&stack, "node-1").await;
    let fresh = {
        let sql = "INSERT INTO credentials (user_id, common_name, server_id) SELECT min(id), 'fresh.aaaa', 'node-1' FROM users";
        stack.app.db.execute_unprepared(sql).await.expect("inserted");
        "fresh.aaaa"
    };

    let first = revoke_some(&stack.app.db).await.expect("revoked");
    assert_eq!((first.users, first.more), (200, true));
    let (one, other) = tokio::join!(revoke_some(&stack.app.db), revoke_some(&stack.app.db));
    assert_eq!(one.expect("revoked").users + other.expect("revoked").users, 50);
    while revoke_some(&stack.app.db).await.expect("revoked").more {}

    let left: Vec<String> = credential::Entity::find()
        .filter(credential::COLUMN.revoked_at.is_null())
        .all(&stack.app.db)
        .await
        .expect("read")
        .into_iter()
        .filter(|row| row.server_id == "node-1")
        .map(|row| row.common_name.to_string())
        .collect();
    assert_eq!(left, [fresh]);
    let mut names: Vec<_> = audited(&stack, AuditAction::UserCredentialsRevoked)
        .await
        .into_iter()
        .map(|row| row.username)
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 250, "each user once");
    assert_eq!(audited(&stack, AuditAction::UserCredentialsRevoked).await.len(), 250);
}

#[tokio::test]
async fn a_disabled_node_gives_its_users_new_profiles_elsewhere_where_that_is_possible() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    let lonely = create_on(&stack, "node-1", "lonely").await;
    run(
        &stack.app.db,
        "DELETE FROM placements WHERE server_id = 'node-2' AND user_id = (SELECT id FROM users WHERE username = 'lonely')",
    )
    .await;
    let disable =
        async |credentials| change_node(&stack.app, &actor(), &node("node-1"), NodeChange::Disable(credentials)).await;
    disable(NodeCredentials::Keep).await.expect("disabled");
    assert_eq!(issuers(&stack, &alice).await, ["node-1"]);

    // It is disabled already, and still its credentials can be revoked.
    disable(NodeCredentials::Revoke).await.expect("disabled");
    is_done(&stack).await;

    assert_eq!(issuers(&stack, &alice).await, ["node-2"]);
    let moved = view(&stack, "alice").await.expect("there");
    assert_eq!(moved.user.server_id, "node-2");
    assert!(moved.placements.iter().any(|placement| placement.server_id == "node-1"));
    let stayed = view(&stack, "lonely").await.expect("there");
    assert_eq!(issuers(&stack, &lonely).await, [stayed.user.server_id.to_string()]);
    assert!(stayed.user.revision > lonely.user.revision);
    assert_eq!(audited(&stack, AuditAction::NodeDisabled).await.len(), 1);
    assert_eq!(audited(&stack, AuditAction::NodeRevocationStarted).await.len(), 1);
}

#[tokio::test]
async fn the_operator_says_in_the_query_what_happens_to_the_credentials() {
    let stack = fleet(2).await;
    let alice = create_on(&stack, "node-1", "alice").await;
    create(&stack, "bob").await;
    let post = async |path: &str| stack.client().post(path).admin().send().await;
    for path in [
        "/api/endnodes/node-1/deregister?credentials=perhaps",
        "/api/endnodes/node-1/disable?credentials=",
    ] {
        let (problem, fields) = problem_of(post(path).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["credentials"], "{path}: {problem}");
    }
    let path = "/api/endnodes/node-1/deregister?credentials=revoke";
    post(path).await.assert_status(StatusCode::NO_CONTENT);
    is_done(&stack).await;
    assert_eq!(issuers(&stack, &alice).await, ["node-2"]);
    problem_of(
        post("/api/endnodes/nowhere/deregister?credentials=revoke").await,
        StatusCode::NOT_FOUND,
    )
    .await;
}
