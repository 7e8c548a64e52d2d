//! When each device of a user was used last.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_nats::ids::CommonName;

use super::{alive, assumed, at, began, credential_of, ended, get, tell};
use crate::database::run;
use crate::ops::enrol;
use crate::stack::{Stack, WithKey as _, json_of};

/// By device, in the order of their names; `None`: it was never used.
async fn last_access(stack: &Stack) -> Vec<Option<Value>> {
    let devices = get(stack, "/api/users/alice/devices").await;
    let devices = devices["items"].as_array().expect("items").iter();
    devices.map(|device| device.get("last_access").cloned()).collect()
}

#[tokio::test]
async fn each_device_has_a_last_access_of_its_own_that_never_goes_back() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let default = credential_of(&stack, "alice").await;
    let client = stack.client();
    let new = client.post("/api/users/alice/devices").admin();
    let new = new.body_json(&json!({ "name": "laptop" })).send().await;
    let new = json_of(new, StatusCode::CREATED).await;
    let laptop: CommonName = new["common_name"].as_str().expect("a name").parse().expect("a name");
    assert_eq!(last_access(&stack).await, [None, None]);

    let (of_default, of_laptop) = (began(&default, 1, 0), began(&laptop, 2, 0));
    let is = |seconds: i64| Some(json!(at(seconds)));
    for (record, expected) in [
        (alive(&of_default, 1, 0), [is(1), None]),
        // Once in a minute while it lives.
        (alive(&of_default, 40, 1), [is(1), None]),
        (alive(&of_default, 300, 1), [is(300), None]),
        (alive(&of_laptop, 320, 1), [is(300), is(320)]),
        // The end of a session of before.
        (ended(&began(&default, 3, 5), 10, 1), [is(300), is(320)]),
        (ended(&of_laptop, 330, 1), [is(300), is(330)]),
        // Last seen alive, and found gone later.
        (assumed(&of_default, 400, 5_000, 1), [is(400), is(330)]),
    ] {
        tell(&stack, "node-1", std::slice::from_ref(&record)).await;
        assert_eq!(last_access(&stack).await, expected, "{record:?}");
    }
    let user = get(&stack, "/api/users/alice").await;
    assert_eq!(user["last_access"], json!(at(400)));
}

#[tokio::test]
async fn a_credential_that_is_revoked_says_nothing_of_its_device() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let old = credential_of(&stack, "alice").await;
    tell(&stack, "node-1", &[ended(&began(&old, 1, 0), 60, 1)]).await;
    run(
        &stack.app.db,
        "UPDATE credentials SET revoked_at = now();
         INSERT INTO credentials (user_id, common_name, server_id) SELECT id, 'alice.fresh', 'node-1' FROM users",
    )
    .await;
    assert_eq!(last_access(&stack).await, [None]);

    let fresh: CommonName = "alice.fresh".parse().expect("a name");
    tell(&stack, "node-1", &[alive(&began(&fresh, 2, 90), 100, 1)]).await;
    assert_eq!(last_access(&stack).await, [Some(json!(at(100)))]);
}
