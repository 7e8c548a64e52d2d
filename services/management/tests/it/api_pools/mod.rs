//! Pools over HTTP, and how nodes hear of their network.

mod changes;
mod directives;
mod members;
mod networks;
mod refused;
mod replicas;
mod rollout;

use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::Value;

use crate::stack::{Stack, WithKey as _, json_of, registration};

async fn send(stack: &Stack, method: Method, path: &str, body: &Value) -> TestResponse {
    let client = stack.client();
    client.request(method, path).admin().body_json(body).send().await
}

async fn create(stack: &Stack, body: &Value) -> TestResponse {
    send(stack, Method::POST, "/api/pools", body).await
}

async fn change(stack: &Stack, pool: &str, body: &Value) -> TestResponse {
    send(stack, Method::PATCH, &format!("/api/pools/{pool}"), body).await
}

async fn delete(stack: &Stack, pool: &str) -> TestResponse {
    let client = stack.client();
    client.delete(format!("/api/pools/{pool}")).admin().send().await
}

async fn get(stack: &Stack, path: &str) -> Value {
    let response = stack.client().get(path).admin().send().await;
    json_of(response, StatusCode::OK).await
}

/// Enrols a node that nobody runs into that pool.
async fn enrol(stack: &Stack, id: &str, pool: &str) {
    let body = registration(id).with("pool", pool).body();
    send(stack, Method::POST, "/api/endnodes/register", &body)
        .await
        .assert_status(StatusCode::CREATED);
}
