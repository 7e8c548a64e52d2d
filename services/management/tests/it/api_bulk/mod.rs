//! Many users with one request.

mod batch;
mod export;
mod import;
mod reissue;

use poem::http::StatusCode;
use poem::test::TestResponse;
use serde_json::{Value, json};

use crate::stack::{Stack, WithKey as _, json_of};

async fn send_batch(stack: &Stack, items: Value) -> TestResponse {
    let client = stack.client();
    let request = client.post("/api/users:batch").admin();
    request.body_json(&json!({ "items": items })).send().await
}

async fn batch(stack: &Stack, items: Value) -> Value {
    json_of(send_batch(stack, items).await, StatusCode::OK).await
}

async fn send_csv(stack: &Stack, text: &str) -> TestResponse {
    let client = stack.client();
    let request = client.post("/api/users.csv").admin().content_type("text/csv");
    request.body(text.to_owned()).send().await
}

async fn import(stack: &Stack, text: &str) -> Value {
    json_of(send_csv(stack, text).await, StatusCode::OK).await
}

async fn get(stack: &Stack, path: &str) -> Value {
    json_of(stack.client().get(path).admin().send().await, StatusCode::OK).await
}

/// How many were created, changed, removed, unchanged and failed.
fn counts(answer: &Value) -> [u64; 5] {
    ["created", "changed", "removed", "unchanged", "failed"].map(|count| answer[count].as_u64().expect("a count"))
}

/// The names of all users, in the order of the list.
async fn usernames(stack: &Stack) -> Vec<String> {
    let listed = get(stack, "/api/users?limit=1000").await;
    let items = listed["items"].as_array().expect("items").iter();
    items
        .map(|user| user["username"].as_str().expect("a name").to_owned())
        .collect()
}
