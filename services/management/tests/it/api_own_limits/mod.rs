//! Own values of users for what management holds them to, over HTTP.

mod changes;
mod devices;
mod lists;
mod refused;

use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::{Value, json};

use crate::stack::{Stack, WithKey as _, json_of};

/// A management with a node, and the group `sales`, which has all limits.
async fn fleet() -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let group = json!({
        "name": "sales", "devices": 3, "sessions": 2, "traffic": { "bytes": 1_000, "period": "month", "reset_day": 15 },
    });
    let made = send(&stack, Method::POST, "/api/groups", &group).await;
    json_of(made, StatusCode::CREATED).await;
    stack
}

async fn send(stack: &Stack, method: Method, path: &str, body: &Value) -> TestResponse {
    let client = stack.client();
    client.request(method, path).admin().body_json(body).send().await
}

async fn create(stack: &Stack, body: &Value) -> TestResponse {
    send(stack, Method::POST, "/api/users", body).await
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

async fn get(stack: &Stack, path: &str) -> Value {
    json_of(stack.client().get(path).admin().send().await, StatusCode::OK).await
}
