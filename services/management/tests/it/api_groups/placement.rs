//! Where a group places its new members, and how long they have access.

use chrono::{DateTime, TimeDelta, Utc};
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{change, change_user, create_user, delete, get, make, send};
use crate::stack::{Stack, json_of, problem_of};

async fn create_pool(stack: &Stack, name: &str) {
    let made = send(stack, Method::POST, "/api/pools", &json!({ "name": name })).await;
    json_of(made, StatusCode::CREATED).await;
}

async fn home_of(stack: &Stack, body: Value) -> Value {
    let user = json_of(create_user(stack, &body).await, StatusCode::CREATED).await;
    user["server_id"].clone()
}

#[tokio::test]
async fn new_members_are_placed_in_the_pool_of_their_group() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    stack.enrol_in("node-2", "offices").await;
    create_pool(&stack, "empty").await;
    make(&stack, "sales", json!({ "pool": "offices" })).await;
    make(&stack, "anywhere", json!({})).await;

    let body = |username: &str, group: &str| json!({ "username": username, "group": group });
    assert_eq!(home_of(&stack, body("alice", "sales")).await, "node-2");
    assert_eq!(home_of(&stack, body("bob", "anywhere")).await, "node-1");
    let mut named = body("carol", "anywhere");
    named["server_id"] = json!("node-2");
    assert_eq!(home_of(&stack, named).await, "node-2");

    let mut outside = body("dave", "sales");
    outside["server_id"] = json!("node-1");
    let (problem, fields) = problem_of(create_user(&stack, &outside).await, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["server_id"]);
    assert_eq!(
        problem["errors"][0]["detail"],
        "the group sales places its members in the pool offices, and the server node-1 is in another one: name one of the pool offices, \
         leave server_id out, or name another group"
    );

    // Nobody who is a member moves.
    json_of(
        change(&stack, "sales", &json!({ "pool": "empty" })).await,
        StatusCode::OK,
    )
    .await;
    let (problem, _) = problem_of(create_user(&stack, &body("dave", "sales")).await, StatusCode::CONFLICT).await;
    assert_eq!(
        problem["detail"],
        "no server of the pool empty takes users, and the group sales places its members there: enable, undrain or enrol one in that \
         pool, or change `pool` of the group"
    );
    let moved = change_user(&stack, "bob", &json!({ "group": "sales" })).await;
    assert_eq!(json_of(moved, StatusCode::OK).await["server_id"], "node-1");
    assert_eq!(get(&stack, "/api/users/alice").await["server_id"], "node-2");
}

#[tokio::test]
async fn a_pool_that_a_group_names_is_kept_and_the_group_named() {
    let stack = Stack::start().await;
    create_pool(&stack, "offices").await;
    for name in ["sales", "engineering"] {
        make(&stack, name, json!({ "pool": "offices" })).await;
    }
    let remove = async || {
        let path = "/api/pools/offices";
        send(&stack, Method::DELETE, path, &json!({})).await
    };
    let (problem, _) = problem_of(remove().await, StatusCode::CONFLICT).await;
    assert_eq!(
        problem["detail"],
        "the group engineering places its members in the pool: name another one as its `pool`, or null, first"
    );
    delete(&stack, "engineering")
        .await
        .assert_status(StatusCode::NO_CONTENT);
    problem_of(remove().await, StatusCode::CONFLICT).await;
    json_of(change(&stack, "sales", &json!({ "pool": null })).await, StatusCode::OK).await;
    remove().await.assert_status(StatusCode::NO_CONTENT);
}

fn time(text: &Value) -> DateTime<Utc> {
    text.as_str().expect("a time").parse().expect("a time")
}

#[tokio::test]
async fn new_members_have_access_for_as_long_as_their_group_says_unless_an_end_is_given() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    make(&stack, "guests", json!({ "lifetime": "12h" })).await;
    let create = async |body: Value| json_of(create_user(&stack, &body).await, StatusCode::CREATED).await;

    let alice = create(json!({ "username": "alice", "group": "guests" })).await;
    let access = time(&alice["expires_at"]) - time(&alice["created_at"]);
    assert_eq!(access, TimeDelta::hours(12));
    let endless = create(json!({ "username": "bob", "group": "guests", "expires_at": null })).await;
    assert_eq!(endless.get("expires_at"), None);
    let given = create(json!({ "username": "carol", "group": "guests", "expires_at": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(given["expires_at"], "2999-01-01T00:00:00Z");
    let other = create(json!({ "username": "dave" })).await;
    assert_eq!(other.get("expires_at"), None);

    // It is for new members only.
    let moved = change_user(&stack, "dave", &json!({ "group": "guests" })).await;
    assert_eq!(json_of(moved, StatusCode::OK).await.get("expires_at"), None);
    json_of(
        change(&stack, "guests", &json!({ "lifetime": "60s" })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(get(&stack, "/api/users/alice").await["expires_at"], alice["expires_at"]);
}
