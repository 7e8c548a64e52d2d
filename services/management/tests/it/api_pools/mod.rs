//! Pools over HTTP, and how nodes hear of their network.

mod changes;
mod directives;
mod members;
mod networks;
mod refused;
mod replicas;
mod rollout;

use poem::http::Method;
use poem::test::TestResponse;
use serde_json::Value;

use crate::stack::{Stack, WithKey as _, get, post, send};

async fn create(stack: &Stack, body: &Value) -> TestResponse {
    post(stack, "/api/pools", body).await
}

async fn change(stack: &Stack, pool: &str, body: &Value) -> TestResponse {
    send(stack, Method::PATCH, &format!("/api/pools/{pool}"), body).await
}

async fn delete(stack: &Stack, pool: &str) -> TestResponse {
    let client = stack.client();
    client.delete(format!("/api/pools/{pool}")).admin().send().await
}
