//! API keys: what each role may do, narrowing, rotation, revocation, and an alarm about wrong ones.

mod alarm;
mod narrowed;
mod refused;
mod revoked;
mod roles;
mod rotated;

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stack::{Stack, WithKey as _, json_of, post, send};

/// A key that was made, and its id.
struct Made {
    id: i64,
    key: String,
}

/// Makes a key.
async fn make(stack: &Stack, wish: &Value) -> Made {
    let answer = post(stack, "/api/api-keys", wish).await;
    answer.assert_header("cache-control", "no-store");
    made_of(&json_of(answer, StatusCode::CREATED).await)
}

fn made_of(shown: &Value) -> Made {
    Made {
        id: shown["about"]["id"].as_i64().expect("an id"),
        key: shown["key"].as_str().expect("a key").to_owned(),
    }
}

/// Makes a key of that role and name.
async fn make_of(stack: &Stack, role: &str) -> Made {
    make(stack, &json!({ "name": format!("a-{role}"), "role": role })).await
}

/// The status of a read with this key.
async fn status(stack: &Stack, key: &str) -> StatusCode {
    stack.client().get("/api/users").key(key).send().await.0.status()
}

async fn revoke(stack: &Stack, id: i64) -> StatusCode {
    let path = format!("/api/api-keys/{id}");
    stack.client().delete(path).admin().send().await.0.status()
}

async fn rotate(stack: &Stack, id: i64, grace: &str) -> Made {
    let path = format!("/api/api-keys/{id}/rotate");
    let answer = send(stack, Method::POST, &path, &json!({ "grace": grace })).await;
    answer.assert_header("cache-control", "no-store");
    made_of(&json_of(answer, StatusCode::OK).await)
}
