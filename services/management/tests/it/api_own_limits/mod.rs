//! Own values of users, over HTTP.

mod changes;
mod devices;
mod lists;
mod mending;
mod own_groups;
mod refused;
mod routes;
mod rules;

use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::{Value, json};
use vpnmanager_management::{domain::own_rules::OwnRulesChange, ops::groups::told::told_groups};
use vpnmanager_nats::groups::{Group, GroupRules};

use crate::stack::{Stack, get, json_of, post, send};

/// A management with a node, and the group `sales`, which has all limits.
async fn fleet() -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let group = json!({
        "name": "sales", "devices": 3, "sessions": 2, "traffic": { "bytes": 1_000, "period": "month", "reset_day": 15 },
    });
    let made = post(&stack, "/api/groups", &group).await;
    json_of(made, StatusCode::CREATED).await;
    stack
}

async fn create(stack: &Stack, body: &Value) -> TestResponse {
    post(stack, "/api/users", body).await
}

/// Changes alice.
async fn change(stack: &Stack, body: &Value) -> TestResponse {
    send(stack, Method::PATCH, "/api/users/alice", body).await
}

async fn changed(stack: &Stack, limits: Value) -> Value {
    json_of(change(stack, &json!({ "limits": limits })).await, StatusCode::OK).await
}

async fn alice(stack: &Stack) -> Value {
    get(stack, "/api/users/alice").await
}

/// A user with this in its body.
async fn make(stack: &Stack, username: &str, body: Value) -> Value {
    let mut body = body;
    body["username"] = json!(username);
    json_of(create(stack, &body).await, StatusCode::CREATED).await
}

/// How often groups were changed, and all of them, as nodes are told.
async fn told(stack: &Stack) -> (i64, Vec<Group>) {
    let told = told_groups(&stack.app.db).await.expect("read").expect("groups");
    (told.revision.0, told.groups)
}

/// The rules of the group in which nodes know this user.
async fn rules_of(stack: &Stack, user: &Value) -> GroupRules {
    let (_, groups) = told(stack).await;
    let name = user["node_group"].as_str().expect("a group for nodes");
    let found = groups.into_iter().find(|group| group.name.as_str() == name);
    found.expect("told").rules
}

fn as_rules(text: Value) -> GroupRules {
    serde_json::from_value(text).expect("rules")
}

async fn change_group(stack: &Stack, group: &str, body: &Value) {
    let changed = send(stack, Method::PATCH, &format!("/api/groups/{group}"), body).await;
    json_of(changed, StatusCode::OK).await;
}

/// Own rules with this speed, in kilobits in a second from the node.
fn down(kilobits: u32) -> OwnRulesChange {
    OwnRulesChange {
        down: Some(Some(kilobits.try_into().expect("a speed"))),
        ..OwnRulesChange::default()
    }
}
