//! Keys that are narrowed to groups or pools.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::make;
use crate::api_sessions::{honest_node, ids, session};
use crate::database::run;
use crate::session_history::credential_of;
use crate::stack::{Stack, WithKey as _, json_of, post, problem_of, registration};

async fn create(stack: &Stack, path: &str, body: Value) {
    post(stack, path, &body).await.assert_status(StatusCode::CREATED);
}

/// Two groups, each with a user: alice in sales, bob in staff.
async fn two_groups() -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for (group, user) in [("sales", "alice"), ("staff", "bob")] {
        create(&stack, "/api/groups", json!({ "name": group })).await;
        create(&stack, "/api/users", json!({ "username": user, "group": group })).await;
    }
    stack
}

/// Two pools, each with a node and a user: alice in default, bob in east.
async fn two_pools() -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.enrol_in("node-2", "east").await;
    for (user, node) in [("alice", "node-1"), ("bob", "node-2")] {
        create(&stack, "/api/users", json!({ "username": user, "server_id": node })).await;
    }
    stack
}

/// An operator whose key is narrowed.
struct Narrowed<'stack> {
    stack: &'stack Stack,
    key: String,
}

impl<'stack> Narrowed<'stack> {
    /// To one of the `groups` or `pools`.
    async fn to(stack: &'stack Stack, kind: &str, name: &str) -> Self {
        let made = make(stack, &json!({ "name": name, "role": "operator", kind: [name] })).await;
        Self { stack, key: made.key }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let client = self.stack.client();
        let mut request = client.request(method, path).key(&self.key);
        if let Some(body) = body {
            request = request.body_json(&body);
        }
        let response = request.send().await;
        let status = response.0.status();
        let text = response.0.into_body().into_string().await.expect("a text");
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    /// Asks, and is answered with this status.
    async fn gets(&self, expected: StatusCode, method: Method, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.ask(method.clone(), path, body).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        answer
    }

    async fn names(&self, path: &str, member: &str) -> Vec<String> {
        let page = self.gets(StatusCode::OK, Method::GET, path, None).await;
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|item| item[member].as_str().expect("a name").to_owned())
            .collect()
    }

    /// What became of each item of a list of changes.
    async fn statuses_of_list(&self, items: Value) -> Vec<u64> {
        let list = Some(json!({ "items": items }));
        let answer = self.gets(StatusCode::OK, Method::POST, "/api/users:batch", list).await;
        let results = answer["results"].as_array().expect("results").iter();
        results
            .map(|result| result["status"].as_u64().expect("a status"))
            .collect()
    }
}

#[tokio::test]
async fn a_key_of_a_group_sees_and_changes_its_users_only() {
    let stack = two_groups().await;
    let sales = Narrowed::to(&stack, "groups", "sales").await;
    assert_eq!(sales.names("/api/users", "username").await, ["alice"]);
    assert_eq!(sales.names("/api/groups", "name").await, ["sales"]);
    assert!(sales.names("/api/sessions/history", "username").await.is_empty());

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
        sales.gets(StatusCode::NOT_FOUND, method, path, None).await;
    }
    sales
        .gets(StatusCode::OK, Method::GET, "/api/users/alice/devices", None)
        .await;

    for (path, change, expected) in [
        ("/api/users/bob", json!({ "active": false }), StatusCode::NOT_FOUND),
        ("/api/users/alice", json!({ "active": false }), StatusCode::OK),
        ("/api/users/alice", json!({ "group": "staff" }), StatusCode::FORBIDDEN),
    ] {
        sales.gets(expected, Method::PATCH, path, Some(change)).await;
    }
    for (group, expected) in [("sales", StatusCode::CREATED), ("staff", StatusCode::FORBIDDEN)] {
        let new = json!({ "username": format!("carol-{group}"), "group": group });
        sales.gets(expected, Method::POST, "/api/users", Some(new)).await;
    }
}

#[tokio::test]
async fn a_key_of_a_group_sees_and_ends_the_sessions_of_its_users_only() {
    let stack = Stack::start().await;
    let connected = honest_node(&stack, "node-1").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    create(&stack, "/api/groups", json!({ "name": "sales" })).await;
    run(
        &stack.app.db,
        "UPDATE users SET group_name = 'sales' WHERE username = 'alice'",
    )
    .await;
    connected
        .lock()
        .expect("unpoisoned")
        .extend([session(&alice, 1), session(&bob, 2)]);
    let sales = Narrowed::to(&stack, "groups", "sales").await;
    for path in [
        "/api/sessions",
        "/api/endnodes/node-1/sessions",
        "/api/sessions?username=alice",
    ] {
        let (_, page) = sales.ask(Method::GET, path, None).await;
        assert_eq!(ids(&page), ["node-1.1795000001.1"], "{path}: {page}");
    }
    let (_, page) = sales.ask(Method::GET, "/api/sessions?username=bob", None).await;
    assert!(ids(&page).is_empty(), "{page}");
    for (id, expected) in [
        ("node-1.1795000002.2", StatusCode::NOT_FOUND),
        ("node-1.1795000001.1", StatusCode::NO_CONTENT),
    ] {
        let path = format!("/api/sessions/{id}");
        sales.gets(expected, Method::DELETE, &path, None).await;
    }
}

#[tokio::test]
async fn a_list_of_changes_reaches_no_further_than_its_key() {
    let stack = two_groups().await;
    let sales = Narrowed::to(&stack, "groups", "sales").await;
    let items = json!([
        { "action": "remove", "username": "bob" },
        { "action": "change", "username": "alice", "active": false },
        { "action": "create", "username": "dave", "group": "staff" },
    ]);
    assert_eq!(sales.statuses_of_list(items).await, [404, 200, 403]);
}

#[tokio::test]
async fn a_create_in_a_list_tells_of_a_user_beyond_the_key_only_that_the_name_is_taken() {
    let stack = two_pools().await;
    let default = Narrowed::to(&stack, "pools", "default").await;
    let items = json!([
        { "action": "create", "username": "alice" },
        { "action": "create", "username": "bob" },
    ]);
    assert_eq!(default.statuses_of_list(items).await, [200, 409]);
}

#[tokio::test]
async fn a_key_of_a_pool_sees_its_nodes_and_users_and_what_is_of_all_refuses_it() {
    let stack = two_pools().await;
    let east = Narrowed::to(&stack, "pools", "east").await;
    assert_eq!(east.names("/api/users", "username").await, ["bob"]);
    assert_eq!(east.names("/api/pools", "name").await, ["east"]);
    assert_eq!(east.names("/api/endnodes", "server_id").await, ["node-2"]);
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
        east.gets(expected, Method::GET, path, None).await;
    }
    // A user stays in the pool that its home has left.
    for (change, seen) in [
        ("former_pool = 'east' WHERE username = 'alice'", vec!["alice", "bob"]),
        ("former_pool = 'default' WHERE username = 'bob'", vec!["alice"]),
        ("former_pool = NULL", vec!["bob"]),
    ] {
        run(&stack.app.db, &format!("UPDATE users SET {change}")).await;
        assert_eq!(east.names("/api/users", "username").await, seen, "{change}");
    }
    for (node, expected) in [
        (None, StatusCode::FORBIDDEN),
        (Some("node-1"), StatusCode::FORBIDDEN),
        (Some("node-2"), StatusCode::CREATED),
    ] {
        let new = match node {
            Some(node) => json!({ "username": "carol", "server_id": node }),
            None => json!({ "username": "carol" }),
        };
        east.gets(expected, Method::POST, "/api/users", Some(new)).await;
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
