//! Keys that are not made, or not accepted.

use poem::http::StatusCode;
use serde_json::json;

use super::{make, status};
use crate::database::fresh_database;
use crate::queries::Queries;
use crate::stack::{Stack, post, problem_of};

#[tokio::test]
async fn what_cannot_be_narrowed_names_the_field() {
    let stack = Stack::start().await;
    for (role, field, names, refused) in [
        ("admin", "pools", json!(["default"]), "pools"),
        ("admin", "groups", json!(["default"]), "groups"),
        ("node", "groups", json!(["default"]), "groups"),
        ("viewer", "groups", json!(["nobodies"]), "groups"),
        ("operator", "pools", json!(["nowhere"]), "pools"),
    ] {
        let answer = post(
            &stack,
            "/api/api-keys",
            &json!({ "name": "key", "role": role, field: names }),
        )
        .await;
        assert_eq!(
            problem_of(answer, StatusCode::CONFLICT).await.1,
            [refused],
            "{role} {field}"
        );
    }
    let past = json!({ "name": "key", "role": "viewer", "expires_at": "2020-01-01T00:00:00Z" });
    let answer = post(&stack, "/api/api-keys", &past).await;
    assert_eq!(problem_of(answer, StatusCode::CONFLICT).await.1, ["expires_at"]);
}

#[tokio::test]
async fn a_mistyped_key_costs_no_query() {
    let database = fresh_database().await;
    let (queries, database) = Queries::counted(&database).await;
    let stack = Stack::start_on(&database, &[]).await;
    let made = make(&stack, &json!({ "name": "script", "role": "viewer" })).await;
    stack.end_tasks().await;
    let mistyped = format!("{}x", &made.key[..made.key.len() - 1]);
    let mistyped = if mistyped == made.key {
        made.key.replace("vpnm_", "vpnm_0")
    } else {
        mistyped
    };
    let before = queries.so_far();
    for _ in 0..10 {
        assert_eq!(status(&stack, &mistyped).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(queries.so_far(), before);
}
