//! Keys that are narrowed to groups or pools.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Made, make};
use crate::api_sessions::{honest_node, ids, session};
use crate::database::run;
use crate::session_history::credential_of;
use crate::stack::{Stack, WithKey as _, json_of, post, problem_of, registration};

/// Two groups, each with a user.
async fn two_groups() -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for (group, user) in [("sales", "alice"), ("staff", "bob")] {
        let made = post(&stack, "/api/groups", &json!({ "name": group })).await;
        made.assert_status(StatusCode::CREATED);
        let made = post(&stack, "/api/users", &json!({ "username": user, "group": group })).await;
        made.assert_status(StatusCode::CREATED);
    }
    stack
}

async fn ask(stack: &Stack, made: &Made, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let client = stack.client();
    let mut request = client.request(method, path).key(&made.key);
    if let Some(body) = body {
        request = request.body_json(&body);
    }
    let response = request.send().await;
    let status = response.0.status();
    let text = response.0.into_body().into_string().await.expect("a text");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// What became of each item of a list of changes.
async fn statuses_of_list(stack: &Stack, made: &Made, items: Value) -> Vec<u64> {
    let list = Some(json!({ "items": items }));
    let (status, answer) = ask(stack, made, Method::POST, "/api/users:batch", list).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let results = answer["results"].as_array().expect("results").iter();
    results
        .map(|result| result["status"].as_u64().expect("a status"))
        .collect()
}

async fn names(stack: &Stack, made: &Made, path: &str, member: &str) -> Vec<String> {
    let (status, page) = ask(stack, made, Method::GET, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {page}");
    let items = page["items"].as_array().expect("items").iter();
    items
        .map(|item| item[member].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn a_key_of_a_group_sees_and_changes_its_users_only() {
    let stack = two_groups().await;
    let made = make(
        &stack,
        &json!({ "name": "sales", "role": "operator", "groups": ["sales"] }),
    )
    .await;
    assert_eq!(names(&stack, &made, "/api/users", "username").await, ["alice"]);
    assert_eq!(names(&stack, &made, "/api/groups", "name").await, ["sales"]);
    assert_eq!(
        names(&stack, &made, "/api/sessions/history", "username").await,
        Vec::<String>::new()
    );

    for (method, path) in [
        (Method::GET, "/api/users/bob"),
        (Method::GET, "/api/users/bob/devices"),
        (Method::GET, "/api/users/bob/links"),
        (Method::GET, "/api/users/bob/sessions"),
        (Method::GET, "/api/users/bob/traffic"),
        (Method::GET, "/api/users/bob/profile"),
        (Method::DELETE, "/api/users/bob"),
        (Method::GET, "/api/groups/staff"),
    ] {
        let (status, body) = ask(&stack, &made, method.clone(), path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {path}: {body}");
    }
    let (status, _) = ask(&stack, &made, Method::GET, "/api/users/alice/devices", None).await;
    assert_eq!(status, StatusCode::OK);

    let suspend = Some(json!({ "active": false }));
    let (status, _) = ask(&stack, &made, Method::PATCH, "/api/users/bob", suspend.clone()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = ask(&stack, &made, Method::PATCH, "/api/users/alice", suspend).await;
    assert_eq!(status, StatusCode::OK);
    let elsewhere = Some(json!({ "group": "staff" }));
    let (status, problem) = ask(&stack, &made, Method::PATCH, "/api/users/alice", elsewhere).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{problem}");
    for (group, expected) in [("sales", StatusCode::CREATED), ("staff", StatusCode::FORBIDDEN)] {
        let new = json!({ "username": format!("carol-{group}"), "group": group });
        let (status, problem) = ask(&stack, &made, Method::POST, "/api/users", Some(new)).await;
        assert_eq!(status, expected, "{problem}");
    }
}

#[tokio::test]
async fn a_key_of_a_group_sees_and_ends_the_sessions_of_its_users_only() {
    let stack = Stack::start().await;
    let connected = honest_node(&stack, "node-1").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    post(&stack, "/api/groups", &json!({ "name": "sales" }))
        .await
        .assert_status(StatusCode::CREATED);
    run(
        &stack.app.db,
        "UPDATE users SET group_name = 'sales' WHERE username = 'alice'",
    )
    .await;
    connected
        .lock()
        .expect("unpoisoned")
        .extend([session(&alice, 1), session(&bob, 2)]);
    let made = make(
        &stack,
        &json!({ "name": "sales", "role": "operator", "groups": ["sales"] }),
    )
    .await;
    for path in [
        "/api/sessions",
        "/api/endnodes/node-1/sessions",
        "/api/sessions?username=alice",
    ] {
        let (_, page) = ask(&stack, &made, Method::GET, path, None).await;
        assert_eq!(ids(&page), ["node-1.1795000001.1"], "{path}: {page}");
    }
    let (_, page) = ask(&stack, &made, Method::GET, "/api/sessions?username=bob", None).await;
    assert!(ids(&page).is_empty(), "{page}");
    for (id, expected) in [
        ("node-1.1795000002.2", StatusCode::NOT_FOUND),
        ("node-1.1795000001.1", StatusCode::NO_CONTENT),
    ] {
        let path = format!("/api/sessions/{id}");
        let (status, answer) = ask(&stack, &made, Method::DELETE, &path, None).await;
        assert_eq!(status, expected, "{answer}");
    }
}

#[tokio::test]
async fn a_list_of_changes_reaches_no_further_than_its_key() {
    let stack = two_groups().await;
    let made = make(
        &stack,
        &json!({ "name": "sales", "role": "operator", "groups": ["sales"] }),
    )
    .await;
    let items = json!([
        { "action": "remove", "username": "bob" },
        { "action": "change", "username": "alice", "active": false },
        { "action": "create", "username": "dave", "group": "staff" },
    ]);
    assert_eq!(statuses_of_list(&stack, &made, items).await, [404, 200, 403]);
}

#[tokio::test]
async fn a_create_in_a_list_tells_of_a_user_beyond_the_key_only_that_the_name_is_taken() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.enrol_in("node-2", "east").await;
    for (user, node) in [("alice", "node-1"), ("bob", "node-2")] {
        let made = post(&stack, "/api/users", &json!({ "username": user, "server_id": node })).await;
        made.assert_status(StatusCode::CREATED);
    }
    let made = make(
        &stack,
        &json!({ "name": "desk", "role": "operator", "pools": ["default"] }),
    )
    .await;
    let items = json!([
        { "action": "create", "username": "alice" },
        { "action": "create", "username": "bob" },
    ]);
    assert_eq!(statuses_of_list(&stack, &made, items).await, [200, 409]);
}

#[tokio::test]
async fn a_key_of_a_pool_sees_its_nodes_and_users_and_what_is_of_all_refuses_it() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.enrol_in("node-2", "east").await;
    for (user, node) in [("alice", "node-1"), ("bob", "node-2")] {
        let made = post(&stack, "/api/users", &json!({ "username": user, "server_id": node })).await;
        made.assert_status(StatusCode::CREATED);
    }
    let made = make(
        &stack,
        &json!({ "name": "east", "role": "operator", "pools": ["east"] }),
    )
    .await;
    assert_eq!(names(&stack, &made, "/api/users", "username").await, ["bob"]);
    assert_eq!(names(&stack, &made, "/api/pools", "name").await, ["east"]);
    assert_eq!(names(&stack, &made, "/api/endnodes", "server_id").await, ["node-2"]);
    for (path, expected) in [
        ("/api/endnodes/node-1", StatusCode::NOT_FOUND),
        ("/api/endnodes/node-2", StatusCode::OK),
        ("/api/pools/default", StatusCode::NOT_FOUND),
        ("/api/users/alice", StatusCode::NOT_FOUND),
        ("/api/audit", StatusCode::FORBIDDEN),
        ("/api/events", StatusCode::FORBIDDEN),
        ("/api/certificates", StatusCode::FORBIDDEN),
        ("/api/imports", StatusCode::FORBIDDEN),
        ("/api/groups/default/traffic", StatusCode::FORBIDDEN),
        ("/api/endnodes/node-2/traffic", StatusCode::FORBIDDEN),
    ] {
        let (status, body) = ask(&stack, &made, Method::GET, path, None).await;
        assert_eq!(status, expected, "{path}: {body}");
    }
    // A user stays in the pool that its home has left.
    for (change, seen) in [
        ("former_pool = 'east' WHERE username = 'alice'", vec!["alice", "bob"]),
        ("former_pool = 'default' WHERE username = 'bob'", vec!["alice"]),
        ("former_pool = NULL", vec!["bob"]),
    ] {
        run(&stack.app.db, &format!("UPDATE users SET {change}")).await;
        assert_eq!(names(&stack, &made, "/api/users", "username").await, seen, "{change}");
    }
    for (new, expected) in [
        (json!({ "username": "carol" }), StatusCode::FORBIDDEN),
        (
            json!({ "username": "carol", "server_id": "node-1" }),
            StatusCode::FORBIDDEN,
        ),
        (
            json!({ "username": "carol", "server_id": "node-2" }),
            StatusCode::CREATED,
        ),
    ] {
        let (status, body) = ask(&stack, &made, Method::POST, "/api/users", Some(new)).await;
        assert_eq!(status, expected, "{body}");
    }
}

#[tokio::test]
async fn a_node_key_of_a_pool_registers_nodes_of_that_pool() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "east").await;
    let made = make(&stack, &json!({ "name": "east", "role": "node", "pools": ["east"] })).await;
    let client = stack.client();
    let register = async |body: Value| {
        let request = client.post("/api/endnodes/register").key(&made.key).body_json(&body);
        request.send().await
    };
    problem_of(register(registration("node-2").body()).await, StatusCode::FORBIDDEN).await;
    let east = registration("node-2").with("pool", "east").body();
    json_of(register(east).await, StatusCode::CREATED).await;
}
