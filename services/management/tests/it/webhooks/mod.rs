//! `/api/webhooks`: what is sent, signed how, how often, and where never.

mod kept;
mod receiver;
mod refused;
mod sent;

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use crate::database::run;
use crate::stack::{Stack, get, json_of, post};
use receiver::Receiver;

/// A management that may send to receivers of the tests.
async fn open_stack() -> Stack {
    let settings = [
        ("WEBHOOK_PRIVATE_ADDRESSES", "127.0.0.0/8"),
        ("WEBHOOK_PLAIN_HTTP", "true"),
    ];
    let stack = Stack::start_with(&settings).await;
    stack.enrol("node-1").await;
    stack
}

/// Makes a webhook for this receiver, with this besides; its id and secret.
async fn hook(stack: &Stack, receiver: &Receiver, mut wish: Value) -> (i64, String) {
    wish["url"] = json!(receiver.url());
    let made = json_of(post(stack, "/api/webhooks", &wish).await, StatusCode::CREATED).await;
    let id = made["webhook"]["id"].as_i64().expect("an id");
    (id, made["secret"].as_str().expect("a secret").to_owned())
}

async fn deliveries(stack: &Stack, id: i64) -> Vec<Value> {
    let page = get(stack, &format!("/api/webhooks/{id}/deliveries")).await;
    page["items"].as_array().expect("items").clone()
}

/// Waits until the newest delivery is like that.
async fn newest_is(stack: &Stack, id: i64, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let newest = wait::until_some(wait::SOON, what, async || {
        let newest = deliveries(stack, id).await.into_iter().next();
        newest.filter(|delivery| is_so(delivery))
    });
    newest.await.expect("in time")
}

/// Lets the pause before the next attempt be over.
async fn pause_is_over(stack: &Stack) {
    run(
        &stack.app.db,
        "UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at IS NOT NULL",
    )
    .await;
    stack.app.webhooks.wake();
}
