//! Keys that are revoked.

use std::time::Duration;

use poem::http::StatusCode;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;
use vpnmanager_entities::api_key;
use vpnmanager_management::ops::keys::{authenticate::KeyCache, bootstrap::bootstrap};
use vpnmanager_testbed::wait;

use super::{make, make_of, revoke, rotate, status};
use crate::stack::{ADMIN_KEY, Stack, WithKey as _, get, problem_of};

#[tokio::test]
async fn a_revoked_key_is_dead_on_every_replica_within_a_second() {
    let stack = Stack::start().await;
    let before = make_of(&stack, "viewer").await;
    let made = rotate(&stack, before.id, "1h").await;
    // What a second replica knows of keys, on the same database.
    let other = KeyCache::start(&stack.tasks, &stack.app.db, 20);
    let knows = async |key: &str| other.authenticate(key, None).await.expect("an answer").is_some();
    for key in [&before.key, &made.key] {
        assert!(
            status(&stack, key).await == StatusCode::OK && knows(key.as_str()).await,
            "{key}"
        );
    }

    assert_eq!(revoke(&stack, made.id).await, StatusCode::NO_CONTENT);

    let dead = wait::until(
        Duration::from_secs(1),
        "both replicas to refuse both keys",
        async || {
            let mut alive = false;
            for key in [&before.key, &made.key] {
                alive |= status(&stack, key).await != StatusCode::UNAUTHORIZED || knows(key.as_str()).await;
            }
            !alive
        },
    );
    dead.await.expect("within a second");
    assert_eq!(revoke(&stack, made.id).await, StatusCode::NO_CONTENT, "once more");
    let trail = get(&stack, "/api/audit?action=api_key_revoked").await;
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(1), "{trail}");
    let key = get(&stack, &format!("/api/api-keys/{}", made.id)).await;
    assert_eq!(key["state"], "revoked");
}

#[tokio::test]
async fn no_admin_key_revokes_itself_so_one_is_always_left() {
    let stack = Stack::start().await;
    let keys = get(&stack, "/api/api-keys?role=admin").await;
    let first = keys["items"][0]["id"].as_i64().expect("an id");
    assert_eq!(revoke(&stack, first).await, StatusCode::CONFLICT);
    let mine = make_of(&stack, "admin").await;
    let client = stack.client();
    let path = format!("/api/api-keys/{first}");
    let revoked = client.delete(&path).key(&mine.key).send().await;
    assert_eq!(revoked.0.status(), StatusCode::NO_CONTENT);
    let dead = wait::until(Duration::from_secs(1), "API_KEY to be refused", async || {
        status(&stack, ADMIN_KEY).await == StatusCode::UNAUTHORIZED
    });
    dead.await.expect("within a second");
    let own = client
        .delete(format!("/api/api-keys/{}", mine.id))
        .key(&mine.key)
        .send()
        .await;
    problem_of(own, StatusCode::CONFLICT).await;

    // The next start with the same API_KEY does not bring it back; one with another does.
    let (db, pki) = (&stack.app.db, &stack.app.pki);
    let usable = async || {
        let found = api_key::Entity::find()
            .filter(api_key::Column::Id.eq(first))
            .one(db)
            .await;
        found.expect("readable").is_some_and(|key| key.revoked_at.is_none())
    };
    bootstrap(db, &ADMIN_KEY.into(), pki).await.expect("prepared");
    assert!(!usable().await);
    bootstrap(db, &"another-key-of-32-characters-0123".into(), pki)
        .await
        .expect("prepared");
    assert!(usable().await);
    // A replica whose setting nobody changed starts again.
    bootstrap(db, &ADMIN_KEY.into(), pki).await.expect("prepared");
    assert_eq!(status(&stack, ADMIN_KEY).await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        status(&stack, "another-key-of-32-characters-0123").await,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_revoked_key_is_not_rotated_and_its_name_is_not_used_again() {
    let stack = Stack::start().await;
    let wish = json!({ "name": "script", "role": "viewer" });
    let made = make(&stack, &wish).await;
    assert_eq!(revoke(&stack, made.id).await, StatusCode::NO_CONTENT);
    let client = stack.client();
    let path = format!("/api/api-keys/{}/rotate", made.id);
    let rotated = client.post(path).admin().body_json(&json!({})).send().await;
    problem_of(rotated, StatusCode::CONFLICT).await;
    let again = client.post("/api/api-keys").admin().body_json(&wish).send().await;
    assert_eq!(problem_of(again, StatusCode::CONFLICT).await.1, ["name"]);
    assert_eq!(revoke(&stack, 4096).await, StatusCode::NOT_FOUND);
}
