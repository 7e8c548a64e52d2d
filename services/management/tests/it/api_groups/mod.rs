//! Groups over HTTP, who is in them, and how nodes hear of them.

mod changes;
mod lists;
mod members;
mod placement;
mod refused;
mod told;

use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::{Value, json};

use crate::stack::{Stack, WithKey as _, json_of, registration};

async fn send(stack: &Stack, method: Method, path: &str, body: &Value) -> TestResponse {
    let client = stack.client();
    client.request(method, path).admin().body_json(body).send().await
}

async fn create(stack: &Stack, body: &Value) -> TestResponse {
    send(stack, Method::POST, "/api/groups", body).await
}

/// Creates a group of this name that says this.
async fn make(stack: &Stack, name: &str, rules: Value) -> Value {
    let mut body = rules;
    body["name"] = json!(name);
    json_of(create(stack, &body).await, StatusCode::CREATED).await
}

async fn change(stack: &Stack, group: &str, body: &Value) -> TestResponse {
    send(stack, Method::PATCH, &format!("/api/groups/{group}"), body).await
}

async fn delete(stack: &Stack, group: &str) -> TestResponse {
    let client = stack.client();
    client.delete(format!("/api/groups/{group}")).admin().send().await
}

async fn get(stack: &Stack, path: &str) -> Value {
    let response = stack.client().get(path).admin().send().await;
    json_of(response, StatusCode::OK).await
}

async fn create_user(stack: &Stack, body: &Value) -> TestResponse {
    send(stack, Method::POST, "/api/users", body).await
}

async fn change_user(stack: &Stack, username: &str, body: &Value) -> TestResponse {
    send(stack, Method::PATCH, &format!("/api/users/{username}"), body).await
}

/// Enrols a node that nobody runs into that pool.
async fn enrol(stack: &Stack, id: &str, pool: &str) {
    let body = registration(id).with("pool", pool).body();
    send(stack, Method::POST, "/api/endnodes/register", &body)
        .await
        .assert_status(StatusCode::CREATED);
}
