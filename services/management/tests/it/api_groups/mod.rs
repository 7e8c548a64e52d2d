//! Groups over HTTP, who is in them, and how nodes hear of them.

mod changes;
mod lists;
mod members;
mod placement;
pub(crate) mod refused;
pub(crate) mod told;

use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::{Value, json};

use crate::stack::{Stack, WithKey as _, get, json_of, post, send};

async fn create(stack: &Stack, body: &Value) -> TestResponse {
    post(stack, "/api/groups", body).await
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

async fn create_user(stack: &Stack, body: &Value) -> TestResponse {
    post(stack, "/api/users", body).await
}

async fn change_user(stack: &Stack, username: &str, body: &Value) -> TestResponse {
    send(stack, Method::PATCH, &format!("/api/users/{username}"), body).await
}
