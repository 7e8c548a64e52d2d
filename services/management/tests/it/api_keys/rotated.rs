//! Keys that are made, listed and rotated.

use std::time::Duration;

use poem::http::{Method, StatusCode};
use serde_json::json;
use vpnmanager_testbed::wait;

use super::{made_of, make, rotate, status};
use crate::stack::{ADMIN_KEY, Stack, get, json_of, problem_of, send};

#[tokio::test]
async fn a_key_is_shown_once_and_known_by_its_beginning() {
    let stack = Stack::start().await;
    let wish =
        json!({ "name": "helpdesk", "role": "operator", "owner": "Jane Doe", "expires_at": "2099-01-01T00:00:00Z" });
    let made = make(&stack, &wish).await;
    assert!(made.key.starts_with("vpnm_") && made.key.len() == 54, "{}", made.key);
    assert_eq!(status(&stack, &made.key).await, StatusCode::OK);

    let used = wait::until(wait::SOON, "the use to be recorded", async || {
        stack.app.keys.uses().record(&stack.app.db).await.expect("recorded");
        let key = get(&stack, &format!("/api/api-keys/{}", made.id)).await;
        key["last_used_at"].is_string()
    });
    used.await.expect("in time");
    let listed = get(&stack, "/api/api-keys?role=operator&owner=Jane%20Doe&state=active").await;
    let items = listed["items"].as_array().expect("items");
    assert_eq!(items.len(), 1, "{listed}");
    assert_eq!(items[0]["name"], "helpdesk");
    assert_eq!(items[0]["created_by"], "key:admin");
    assert!(made.key.starts_with(items[0]["prefix"].as_str().expect("a prefix")));
    assert!(!listed.to_string().contains(&made.key));
    let trail = get(&stack, "/api/audit?action=api_key_created").await;
    assert_eq!(trail["items"][0]["after"]["name"], "helpdesk", "{trail}");
    assert!(!trail.to_string().contains(&made.key));
}

#[tokio::test]
async fn the_key_of_before_is_accepted_for_the_grace_time() {
    let stack = Stack::start().await;
    let first = make(&stack, &json!({ "name": "script", "role": "viewer" })).await;
    let second = rotate(&stack, first.id, "1h").await;
    assert_eq!(second.id, first.id);
    assert_ne!(second.key, first.key);
    for key in [&first.key, &second.key] {
        assert_eq!(status(&stack, key).await, StatusCode::OK, "{key}");
    }
    // The answer tells of the rotation, from the transaction that made it.
    let path = format!("/api/api-keys/{}/rotate", first.id);
    let answer = send(&stack, Method::POST, &path, &json!({ "grace": "1s" })).await;
    let third = json_of(answer, StatusCode::OK).await;
    let about = get(&stack, &format!("/api/api-keys/{}", first.id)).await;
    assert!(about["rotated_at"].is_string(), "{about}");
    assert_eq!(third["about"]["rotated_at"], about["rotated_at"]);
    let third = made_of(&third);
    let ended = wait::until(Duration::from_secs(1), "the first key to end", async || {
        status(&stack, &first.key).await == StatusCode::UNAUTHORIZED
    });
    ended.await.expect("at once");
    let ended = wait::until(wait::SOON, "the grace time to end", async || {
        status(&stack, &second.key).await == StatusCode::UNAUTHORIZED
    });
    ended.await.expect("in time");
    assert_eq!(status(&stack, &third.key).await, StatusCode::OK);
    let trail = get(&stack, "/api/audit?action=api_key_rotated").await;
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(2), "{trail}");
}

#[tokio::test]
async fn the_key_of_the_configuration_is_rotated_there() {
    let stack = Stack::start().await;
    let keys = get(&stack, "/api/api-keys?role=admin").await;
    let id = keys["items"][0]["id"].as_i64().expect("an id");
    let refused = send(&stack, Method::POST, &format!("/api/api-keys/{id}/rotate"), &json!({})).await;
    let (problem, _) = problem_of(refused, StatusCode::CONFLICT).await;
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("API_KEY")),
        "{problem}"
    );
    assert_eq!(status(&stack, ADMIN_KEY).await, StatusCode::OK);
}
