//! Who is in a pool: nodes make it, and keep it from being deleted.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::{domain::audit_action::AuditAction, ops::pools::ensure::ensure_pools};

use super::{delete, get, send};
use crate::{
    database::run,
    ops::audited,
    stack::{Stack, json_of, problem_of},
};

async fn members(stack: &Stack, pool: &str) -> [Value; 2] {
    let pool = get(stack, &format!("/api/pools/{pool}")).await;
    ["nodes", "users"].map(|name| pool[name].clone())
}

async fn assert_kept(stack: &Stack, pool: &str, detail: &str) {
    let (problem, _) = problem_of(delete(stack, pool).await, StatusCode::CONFLICT).await;
    let said = problem["detail"].as_str().expect("a detail");
    assert!(said.starts_with(detail), "{said}");
}

#[tokio::test]
async fn a_pool_with_nodes_or_users_is_kept_and_says_how_many_there_are() {
    let stack = Stack::start().await;
    assert_kept(&stack, "default", "the pool default is never deleted").await;
    stack.enrol_in("node-1", "sales").await;
    stack.enrol_in("node-2", "sales").await;
    for username in ["alice", "bob", "carol"] {
        let body = json!({ "username": username, "server_id": "node-1" });
        json_of(
            send(&stack, Method::POST, "/api/users", &body).await,
            StatusCode::CREATED,
        )
        .await;
    }
    // Each of them is on both nodes, and counts once.
    assert_eq!(members(&stack, "sales").await, [2, 3].map(Value::from));
    assert_eq!(members(&stack, "default").await, [0, 0].map(Value::from));
    assert_kept(&stack, "sales", "2 servers and 3 users are in the pool").await;

    for node in ["node-2", "node-1"] {
        let path = format!("/api/endnodes/{node}/deregister");
        send(&stack, Method::POST, &path, &json!({}))
            .await
            .assert_status(StatusCode::NO_CONTENT);
    }
    // They have no node any more, and wait for one of this pool.
    assert_kept(&stack, "sales", "0 servers and 3 users are in the pool").await;
    for username in ["alice", "bob", "carol"] {
        let path = format!("/api/users/{username}");
        json_of(send(&stack, Method::DELETE, &path, &json!({})).await, StatusCode::OK).await;
    }
    delete(&stack, "sales").await.assert_status(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_node_that_is_enrolled_or_moved_into_a_new_pool_makes_it() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2"] {
        stack.enrol_in(id, "stores").await;
    }
    assert_eq!(members(&stack, "stores").await, [2, 0].map(Value::from));
    let path = "/api/endnodes/node-1/move";
    for _ in 0..2 {
        let moved = send(&stack, Method::POST, path, &json!({ "pool": "offices" })).await;
        assert_eq!(json_of(moved, StatusCode::OK).await["pool"], "offices");
    }
    assert_eq!(members(&stack, "offices").await, [1, 0].map(Value::from));

    let made = audited(&stack, AuditAction::PoolCreated).await;
    let made: Vec<(&str, &str, &Value)> = made
        .iter()
        .map(|row| {
            let after = row.after.as_ref().expect("a state");
            (row.actor.as_str(), row.server_id.as_str(), &after["pool"])
        })
        .collect();
    let (stores, offices) = (json!("stores"), json!("offices"));
    assert_eq!(
        made,
        [("key:admin", "node-1", &stores), ("key:admin", "node-1", &offices)]
    );
}

/// A replica of an older release knows no pools.
#[tokio::test]
async fn a_pool_that_an_older_replica_put_a_node_into_is_made_at_the_next_start() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    run(&stack.app.db, "UPDATE servers SET pool = 'older'").await;
    for _ in 0..2 {
        ensure_pools(&stack.app).await.expect("made");
    }
    assert_eq!(members(&stack, "older").await, [1, 0].map(Value::from));
    let made = audited(&stack, AuditAction::PoolCreated).await;
    assert_eq!((made.len(), made[0].actor.as_str()), (1, "system"));
}
