//! Links to profiles: who makes them, what looking shows, and what using one gives and leaves.

mod making;
mod pages;
mod refused;
mod traces;
mod uses;

use poem::http::StatusCode;
use poem::test::TestResponse;
use serde_json::{Value, json};
use vpnmanager_nats::node_requests::NodeAnswer;

use crate::api_profile::home::Home;
use crate::stack::{Stack, WithKey as _, get, json_of, post};

const PUBLIC_URL: &str = "https://vpn.example.com/vpn";

/// A link as its maker got it.
struct Made {
    id: i64,
    url: String,
    /// The path of its page.
    path: String,
}

impl Made {
    fn token(&self) -> &str {
        self.path.strip_prefix("/p/").expect("below the pages")
    }
}

/// A home that holds the profile of alice.
async fn home_of_alice() -> Home {
    let home = Box::pin(Home::start_with(&[("PUBLIC_URL", PUBLIC_URL)])).await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    home
}

async fn make(stack: &Stack, wish: Value) -> Made {
    let response = post(stack, "/api/users/alice/devices/default/link", &wish).await;
    let made = json_of(response, StatusCode::CREATED).await;
    let url = made["url"].as_str().expect("a URL").to_owned();
    Made {
        id: made["id"].as_i64().expect("an id"),
        path: url.strip_prefix(PUBLIC_URL).expect("the public URL").to_owned(),
        url,
    }
}

async fn look(stack: &Stack, path: &str) -> TestResponse {
    stack.client().get(path).send().await
}

/// Presses the button.
async fn take(stack: &Stack, path: &str) -> TestResponse {
    stack.client().post(path).send().await
}

async fn text_of(response: TestResponse, status: StatusCode) -> String {
    let found = response.0.status();
    let text = response.0.into_body().into_string().await.expect("a text");
    assert_eq!(found, status, "{text}");
    text
}

/// The page of an answer of that status.
async fn page_of(response: TestResponse, status: StatusCode) -> String {
    response.assert_content_type("text/html; charset=utf-8");
    text_of(response, status).await
}

/// The open links of alice, the newest first.
async fn open(stack: &Stack) -> Vec<Value> {
    let page = get(stack, "/api/users/alice/links").await;
    page["items"].as_array().expect("items").clone()
}

async fn audited(stack: &Stack, action: &str) -> Vec<Value> {
    let page = get(stack, &format!("/api/audit?action={action}")).await;
    page["items"].as_array().expect("items").clone()
}

async fn change_alice(stack: &Stack, change: Value) {
    let client = stack.client();
    let changed = client.patch("/api/users/alice").admin().body_json(&change).send();
    json_of(changed.await, StatusCode::OK).await;
}

async fn suspend(stack: &Stack) {
    change_alice(stack, json!({ "active": false })).await;
}

async fn resume(stack: &Stack) {
    change_alice(stack, json!({ "active": true })).await;
}
