//! Many users with one request.

mod batch;
mod export;
mod import;
mod reissue;

use poem::http::StatusCode;
use poem::test::TestResponse;
use serde_json::{Value, json};

use crate::stack::{Stack, WithKey as _, get, json_of};

async fn send_batch(stack: &Stack, items: Value) -> TestResponse {
    let client = stack.client();
    let request = client.post("/api/users:batch").admin();
    request.body_json(&json!({ "items": items })).send().await
}

pub(crate) async fn batch(stack: &Stack, items: Value) -> Value {
    json_of(send_batch(stack, items).await, StatusCode::OK).await
}

async fn send_csv(stack: &Stack, text: &str) -> TestResponse {
    let client = stack.client();
    let request = client.post("/api/users.csv").admin().content_type("text/csv");
    request.body(text.to_owned()).send().await
}

pub(crate) async fn import(stack: &Stack, text: &str) -> Value {
    json_of(send_csv(stack, text).await, StatusCode::OK).await
}

/// The export, of those users whom the query names.
pub(crate) async fn export(stack: &Stack, query: &str) -> String {
    let response = stack
        .client()
        .get(format!("/api/users.csv{query}"))
        .admin()
        .send()
        .await;
    response.assert_status(StatusCode::OK);
    response.assert_header("content-type", "text/csv; charset=utf-8");
    response.assert_header("content-disposition", "attachment; filename=\"users.csv\"");
    response.0.into_body().into_string().await.expect("text")
}

/// How many were created, changed, removed, unchanged and failed.
pub(crate) fn counts(answer: &Value) -> [u64; 5] {
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

/// The line of each row that failed, the status of its answer, and the field that is named.
fn failures(answer: &Value) -> Vec<(u64, u64, Option<&str>)> {
    let failures = answer["failures"].as_array().expect("failures").iter();
    let number = |value: &Value| value.as_u64().expect("a number");
    failures
        .map(|failure| {
            let field = failure["error"]["field"].as_str();
            (number(&failure["line"]), number(&failure["status"]), field)
        })
        .collect()
}
