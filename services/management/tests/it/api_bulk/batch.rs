//! Lists of changes as JSON.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_entities::api_key::Role;

use super::{batch, counts, get, send_batch, usernames};
use crate::database::run;
use crate::stack::{Stack, WithKey as _, problem_of};

/// Statuses in the order of the answer, which is that of the request.
fn statuses(answer: &Value) -> Vec<u64> {
    let results = answer["results"].as_array().expect("results");
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "{answer}");
        let is_refused = result["status"].as_u64().expect("a status") >= 400;
        assert_eq!(result.get("error").is_some(), is_refused, "{result}");
    }
    let statuses = results.iter().map(|result| result["status"].as_u64());
    statuses.map(|status| status.expect("a status")).collect()
}

#[tokio::test]
async fn each_item_has_the_answer_of_the_operation_for_one_user_in_the_order_of_the_request() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("bob").await;
    stack.create_user("carol").await;

    let answer = batch(
        &stack,
        json!([
            { "action": "create", "username": "alice", "expires_at": "2999-01-01T00:00:00Z", "server_id": "node-1" },
            { "action": "create", "username": "-a" },
            { "action": "change", "username": "bob", "active": false },
            { "action": "create", "username": "dave", "expires_at": "2020-01-01T00:00:00Z" },
            { "action": "remove", "username": "carol" },
            { "action": "create", "username": "erin", "server_id": "nowhere" },
            { "action": "change", "username": "nobody", "active": false },
            { "action": "change", "username": "alice", "server_id": "node-1" },
            { "action": "create", "username": "frank", "active": false },
            { "action": "create", "username": "grace", "expires_at": "soon" },
        ]),
    )
    .await;

    assert_eq!(
        statuses(&answer),
        [201, 400, 200, 409, 200, 409, 404, 400, 201, 400],
        "{answer}"
    );
    assert_eq!(counts(&answer), [2, 1, 1, 0, 6]);
    let error = |index: usize| &answer["results"][index]["error"];
    for (index, field, detail) in [
        (1, json!("username"), "must be a letter or digit"),
        (3, json!("expires_at"), "must be in the future"),
        (5, json!("server_id"), "there is no such server"),
        (6, Value::Null, "there is no such user"),
        (7, json!("server_id"), "is taken by create only"),
        (9, json!("expires_at"), "must be an RFC 3339 time"),
    ] {
        assert_eq!(error(index)["field"], field, "{}", error(index));
        let said = error(index)["detail"].as_str().expect("a detail");
        assert!(said.starts_with(detail), "{said}");
    }
    assert_eq!(error(3)["title"], "Conflict");
    let mut names = usernames(&stack).await;
    names.sort();
    assert_eq!(names, ["alice", "bob", "frank"]);
    assert_eq!(get(&stack, "/api/users/frank").await["active"], false);
    let bob = get(&stack, "/api/users/bob").await;
    assert_eq!((&bob["active"], &bob["revision"]), (&json!(false), &json!(2)));
}

#[tokio::test]
async fn the_same_list_again_changes_nothing() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("bob").await;
    let items = json!([
        { "action": "create", "username": "alice", "expires_at": "2999-01-01T00:00:00.123456789Z" },
        { "action": "create", "username": "carol", "server_id": "node-1" },
        { "action": "change", "username": "bob", "active": false, "expires_at": null },
    ]);
    assert_eq!(counts(&batch(&stack, items.clone()).await), [2, 1, 0, 0, 0]);
    let before = get(&stack, "/api/users").await;
    let trail = get(&stack, "/api/audit").await;

    let again = batch(&stack, items).await;

    assert_eq!(statuses(&again), [200, 200, 200], "{again}");
    assert_eq!(counts(&again), [0, 0, 0, 3, 0]);
    assert_eq!(get(&stack, "/api/users").await, before);
    assert_eq!(get(&stack, "/api/audit").await, trail);

    let other = batch(
        &stack,
        json!([
            { "action": "create", "username": "alice", "expires_at": null },
            { "action": "create", "username": "carol", "active": false },
        ]),
    )
    .await;
    assert_eq!(statuses(&other), [409, 409]);
    assert_eq!(other["results"][0]["error"]["field"], "username");
}

#[tokio::test]
async fn who_is_there_is_unchanged_although_the_server_takes_no_more_users() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let items = json!([{ "action": "create", "username": "alice", "server_id": "node-1" }]);
    assert_eq!(counts(&batch(&stack, items.clone()).await), [1, 0, 0, 0, 0]);
    run(&stack.app.db, "UPDATE servers SET enabled = false").await;
    assert_eq!(counts(&batch(&stack, items).await), [0, 0, 0, 1, 0]);
}

#[tokio::test]
async fn items_about_one_user_are_done_in_their_order() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let items = json!([
        { "action": "create", "username": "alice", "expires_at": "2999-01-01T00:00:00Z" },
        { "action": "change", "username": "alice", "active": false },
        { "action": "change", "username": "alice", "active": true, "expires_at": null },
    ]);

    let answer = batch(&stack, items).await;

    assert_eq!(statuses(&answer), [201, 200, 200], "{answer}");
    assert_eq!(counts(&answer), [1, 2, 0, 0, 0]);
    let alice = get(&stack, "/api/users/alice").await;
    assert_eq!((&alice["active"], &alice["revision"]), (&json!(true), &json!(3)));
    assert_eq!(alice.get("expires_at"), None);
    let audit = get(&stack, "/api/audit?username=alice").await;
    let actions: Vec<&Value> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["user_resumed", "user_suspended", "user_created"]);
}

/// Sent again, the list would remove the user whom it created.
#[tokio::test]
async fn a_removal_beside_other_items_about_its_user_is_refused_and_so_is_what_follows() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let old = stack.create_user("alice").await;
    stack.create_user("bob").await;
    let items = json!([
        { "action": "remove", "username": "alice" },
        { "action": "change", "username": "bob", "active": false },
        { "action": "create", "username": "alice", "expires_at": "2999-01-01T00:00:00Z" },
        { "action": "remove", "username": "bob" },
    ]);

    let answer = batch(&stack, items).await;

    assert_eq!(statuses(&answer), [409, 200, 409, 409], "{answer}");
    for index in [0, 2, 3] {
        let error = &answer["results"][index]["error"];
        assert_eq!(error["field"], "username", "{error}");
        let said = error["detail"].as_str().expect("a detail");
        assert!(said.starts_with("the list has other entries for this user"), "{said}");
    }
    assert_eq!(get(&stack, "/api/users/alice").await["key"], old["key"]);
    assert_eq!(get(&stack, "/api/users/bob").await["active"], false);
}

#[tokio::test]
async fn the_trail_has_the_rows_of_the_single_operations() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let create = json!({ "username": "alice", "expires_at": "2999-01-01T00:00:00Z" });
    let client = stack.client();
    client.post("/api/users").admin().body_json(&create).send().await;
    let items = json!([{ "action": "create", "username": "bob", "expires_at": "2999-01-01T00:00:00Z" }]);
    let request = client.post("/api/users:batch").admin().header("x-request-id", "req-1");
    request.body_json(&json!({ "items": items })).send().await;

    let trail = get(&stack, "/api/audit?action=user_created").await;

    let (bob, alice) = (&trail["items"][0], &trail["items"][1]);
    assert_eq!((&bob["request_id"], &bob["username"]), (&json!("req-1"), &json!("bob")));
    for same in ["action", "actor", "server_id"] {
        assert_eq!(bob[same], alice[same], "{same}");
    }
    for same in ["active", "expires_at", "revision", "server_id"] {
        assert_eq!(bob["after"][same], alice["after"][same], "{same}");
    }
}

#[tokio::test]
async fn a_list_without_the_form_of_the_description_is_refused_as_a_whole() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let good = json!({ "action": "create", "username": "alice" });
    let many = |number: usize| -> Value { (0..number).map(|_| good.clone()).collect() };
    let with = |field: &str, value: Value| {
        let mut items = many(4);
        items[3][field] = value;
        items
    };
    for (items, field, detail) in [
        (many(0), "items", "must have 1 items at least"),
        (many(10_001), "items", "must have 10000 items at most, not 10001"),
        (
            with("expire_at", json!("soon")),
            "items.3.expire_at",
            "did you mean `expires_at`?",
        ),
        (
            with("action", json!("rename")),
            "items.3.action",
            "create, change, remove",
        ),
        (with("username", json!(5)), "items.3.username", "must be a string"),
        (with("active", json!(null)), "items.3.active", "not null"),
        (with("username", json!("a\0b")), "items.3.username", "NUL"),
    ] {
        let (problem, fields) = problem_of(send_batch(&stack, items).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{problem}");
        let said = problem["errors"][0]["detail"].as_str().expect("a detail");
        assert!(said.contains(detail), "{said}");
    }
    assert!(usernames(&stack).await.is_empty());
}

#[tokio::test]
async fn a_thousand_items_are_taken_while_others_are_answered() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let items: Value = (0..1000)
        .map(|number| json!({ "action": "create", "username": format!("user-{number}") }))
        .collect();
    let alone = async { stack.create_user("alice").await };
    let (answer, _alice) = tokio::join!(batch(&stack, items), alone);
    assert_eq!(counts(&answer), [1000, 0, 0, 0, 0]);
    assert_eq!(answer["results"][999]["username"], "user-999");
}

#[tokio::test]
async fn only_an_admin_key_does_this() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.add_key("node-key", Role::Node).await;
    let client = stack.client();
    let items = json!({ "items": [{ "action": "create", "username": "alice" }] });
    let request = client.post("/api/users:batch").key("node-key").body_json(&items);
    problem_of(request.send().await, StatusCode::FORBIDDEN).await;
    let request = client.post("/api/users.csv").key("node-key").content_type("text/csv");
    problem_of(request.body("username\nalice\n").send().await, StatusCode::FORBIDDEN).await;
    let request = client.get("/api/users.csv").key("node-key");
    problem_of(request.send().await, StatusCode::FORBIDDEN).await;
    assert!(usernames(&stack).await.is_empty());
}
