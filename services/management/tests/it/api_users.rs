//! The life of a user over HTTP.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use poem::http::StatusCode;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};
use vpnmanager_entities::user;
use vpnmanager_testbed::wait;

use crate::database::{run, until};
use crate::stack::{Stack, WithKey as _, get, json_of, problem_of};

#[tokio::test]
async fn a_user_is_created_read_removed_and_created_again() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.enrol("node-2").await;
    let body = json!({ "username": "alice", "expires_at": "2999-01-01T00:00:00+01:00", "server_id": "node-2" });
    let response = stack
        .client()
        .post("/api/users")
        .admin()
        .header("x-request-id", "req-1")
        .body_json(&body)
        .send()
        .await;
    response.assert_header("location", "/api/users/alice");
    let created = json_of(response, StatusCode::CREATED).await;
    assert_eq!(created["expires_at"], "2998-12-31T23:00:00Z");
    assert_eq!(
        (&created["synced"], &created["server_id"], &created["created_by"]),
        (&json!(false), &json!("node-2"), &json!("key:admin"))
    );
    let nodes: Vec<_> = created["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (&node["server_id"], &node["role"]))
        .collect();
    assert_eq!(
        nodes,
        [
            (&json!("node-2"), &json!("home")),
            (&json!("node-1"), &json!("standby"))
        ]
    );
    assert_eq!(get(&stack, "/api/users/alice").await["key"], created["key"]);

    let removed = json_of(
        stack.client().delete("/api/users/alice").admin().send().await,
        StatusCode::OK,
    )
    .await;
    assert_eq!((&removed["revision"], &removed["synced"]), (&json!(2), &json!(false)));
    assert!(removed["removed_at"].is_string(), "{removed}");
    for method in ["GET", "DELETE"] {
        let method = method.parse().expect("a method");
        problem_of(
            stack.client().request(method, "/api/users/alice").admin().send().await,
            StatusCode::NOT_FOUND,
        )
        .await;
    }
    assert_ne!(stack.create_user("alice").await["key"], created["key"]);

    let audit = get(&stack, "/api/audit?username=alice").await;
    let actions: Vec<&Value> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["user_created", "user_removed", "user_created"]);
    let first = &audit["items"][2];
    assert_eq!(
        (&first["request_id"], &first["actor"], &first["after"]["username"]),
        (&json!("req-1"), &json!("key:admin"), &json!("alice"))
    );
}

#[tokio::test]
async fn of_two_creates_of_one_name_at_once_one_wins() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for round in 0..10 {
        let body = json!({ "username": format!("user-{round}") });
        let (one, other) = (stack.client(), stack.client());
        let (one, other) = tokio::join!(
            one.post("/api/users").admin().body_json(&body).send(),
            other.post("/api/users").admin().body_json(&body).send(),
        );
        let mut statuses = [one.0.status(), other.0.status()];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::CREATED, StatusCode::CONFLICT], "{body}");
        let lost = if one.0.status() == StatusCode::CONFLICT {
            one
        } else {
            other
        };
        assert_eq!(problem_of(lost, StatusCode::CONFLICT).await.1, ["username"]);
    }
}

#[tokio::test]
async fn a_lost_server_is_no_home_and_the_refusal_says_what_to_do() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.enrol("node-2").await;
    let lose = "UPDATE servers SET state = 'lost', lost_since = '2026-11-28T08:00:00Z' WHERE name = 'node-2'";
    run(&stack.app.db, lose).await;
    let create = async |body: Value| stack.client().post("/api/users").admin().body_json(&body).send().await;

    let refused = create(json!({ "username": "alice", "server_id": "node-2" })).await;
    let (problem, fields) = problem_of(refused, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["server_id"]);
    assert_eq!(
        problem["errors"][0]["detail"],
        "the server node-2 is lost since 2026-11-28T08:00:00Z: name another one, leave server_id out, or wait until it is back, \
         healthy and in sync"
    );
    // Not yet in sync again.
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'healthy' WHERE name = 'node-2'",
    )
    .await;
    let refused = create(json!({ "username": "alice", "server_id": "node-2" })).await;
    problem_of(refused, StatusCode::CONFLICT).await;

    let created = json_of(create(json!({ "username": "alice" })).await, StatusCode::CREATED).await;
    assert_eq!(created["server_id"], "node-1");
    run(&stack.app.db, "UPDATE servers SET lost_since = NULL").await;
    let created = create(json!({ "username": "bob", "server_id": "node-2" })).await;
    assert_eq!(json_of(created, StatusCode::CREATED).await["server_id"], "node-2");
}

#[tokio::test]
async fn without_a_server_there_are_no_users() {
    let stack = Stack::start().await;
    let response = stack
        .client()
        .post("/api/users")
        .admin()
        .body_json(&json!({ "username": "alice" }))
        .send()
        .await;
    let (problem, _) = problem_of(response, StatusCode::CONFLICT).await;
    assert_eq!(
        problem["detail"],
        "no server of the pool default takes users: name one of another pool as server_id, or enable, undrain or enrol one in that pool"
    );
}

#[tokio::test]
async fn pages_lead_through_all_users_once_and_filters_fit() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.enrol("node-2").await;
    for number in 0..23 {
        let body = json!({ "username": format!("{}-{number:02}", if number % 2 == 0 { "even" } else { "odd" }),
            "server_id": if number < 10 { "node-1" } else { "node-2" } });
        let response = stack.client().post("/api/users").admin().body_json(&body).send().await;
        json_of(response, StatusCode::CREATED).await;
    }
    let suspend = stack
        .client()
        .patch("/api/users/odd-05")
        .admin()
        .body_json(&json!({ "active": false }))
        .send()
        .await;
    json_of(suspend, StatusCode::OK).await;

    let mut path = "/api/users?limit=5".to_owned();
    let mut pages = Vec::new();
    loop {
        let response = stack.client().get(&path).admin().send().await;
        let link = response.0.header("link").map(str::to_owned);
        let page = json_of(response, StatusCode::OK).await;
        let names = page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|user| user["username"].as_str().expect("a name").to_owned());
        pages.push(names.collect::<Vec<_>>());
        let Some(cursor) = page.get("next_cursor") else {
            assert_eq!(link, None);
            break;
        };
        let expected = format!("/api/users?limit=5&cursor={}", cursor.as_str().expect("text"));
        assert_eq!(link.as_deref(), Some(format!("<{expected}>; rel=\"next\"").as_str()));
        path = expected;
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
    assert_eq!(pages.concat().into_iter().collect::<BTreeSet<_>>().len(), 23);

    for (filter, expected) in [
        ("server_id=node-1", 10),
        ("server_id=nowhere", 0),
        ("active=false", 1),
        ("active=true&server_id=node-2", 13),
        ("synced=false", 23),
        ("synced=true", 0),
        ("username=even-", 12),
        ("username=even-1", 5),
        ("username=Even", 0),
    ] {
        let page = get(&stack, &format!("/api/users?limit=1000&{filter}")).await;
        assert_eq!(page["items"].as_array().expect("items").len(), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_wait_ends_at_its_deadline_with_the_truth_so_far() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let started = Instant::now();
    let response = stack
        .client()
        .post("/api/users?wait=300ms")
        .admin()
        .body_json(&json!({ "username": "alice" }))
        .send()
        .await;
    let created = json_of(response, StatusCode::CREATED).await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        (&created["synced"], &created["nodes"][0]["applied_revision"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(created["nodes"][0]["wanted_revision"], 1);
}

/// Whoever is told of a failure sends the request again, and it would be done twice.
#[tokio::test]
async fn what_is_done_is_no_failure_though_its_state_cannot_be_read_after_the_wait() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let (client, body) = (stack.client(), json!({ "username": "alice" }));
    let outage = async {
        until(&stack.app.db, "the user", "SELECT count(*) FROM users").await;
        run(&stack.app.db, "ALTER TABLE placements RENAME TO away").await;
    };
    let (response, ()) = tokio::join!(
        client.post("/api/users?wait=2s").admin().body_json(&body).send(),
        outage
    );
    let created = json_of(response, StatusCode::CREATED).await;
    assert_eq!(
        (&created["username"], &created["synced"]),
        (&json!("alice"), &json!(false))
    );
}

#[tokio::test]
async fn a_wait_for_a_removal_ends_when_the_last_server_has_forgotten() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let forget = async {
        let removed = wait::until_some(wait::SOON, "the removal", async || {
            let rows = user::Entity::find().all(&stack.app.db).await.expect("rows");
            rows.into_iter().find(|user| user.removed_at.is_some())
        });
        let user = removed.await.expect("in time");
        user::Entity::delete_by_id(user.id)
            .exec(&stack.app.db)
            .await
            .expect("deleted");
    };
    let client = stack.client();
    let (response, ()) = tokio::join!(client.delete("/api/users/alice?wait=30s").admin().send(), forget);
    let removed = json_of(response, StatusCode::OK).await;
    assert_eq!(removed["synced"], true);
    assert_eq!(
        removed["nodes"][0]["applied_revision"],
        removed["nodes"][0]["wanted_revision"]
    );
}

#[tokio::test]
async fn nobody_is_kept_waiting_when_the_process_stops() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let started = Instant::now();
    let (client, body) = (stack.client(), json!({ "username": "alice" }));
    let stop = async {
        let created = wait::until_some(wait::SOON, "the user", async || {
            user::Entity::find().one(&stack.app.db).await.expect("rows")
        });
        created.await.expect("in time");
        stack.tasks.stop();
    };
    let (response, ()) = tokio::join!(client.post("/api/users?wait=60s").admin().body_json(&body).send(), stop);
    json_of(response, StatusCode::CREATED).await;
    assert!(started.elapsed() < wait::under_load(Duration::from_secs(10)));
}

#[tokio::test]
async fn a_new_profile_is_asked_for_with_or_without_revoking_the_old_ones() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let client = stack.client();
    let reissue = |username: &str, body: Value| {
        let path = format!("/api/users/{username}/reissue");
        client.post(path).admin().body_json(&body).send()
    };

    let kept = json_of(reissue("alice", json!({})).await, StatusCode::OK).await;
    assert_eq!(
        (&kept["revision"], &kept["synced"], &kept["nodes"][0]["wanted_revision"]),
        (&json!(2), &json!(false), &json!(2))
    );
    let revoked = json_of(
        reissue("alice", json!({ "old_profiles": "revoke" })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(revoked["nodes"][0]["wanted_revision"], 3);
    problem_of(
        reissue("alice", json!({ "old_profiles": "burn" })).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    problem_of(reissue("nobody", json!({})).await, StatusCode::NOT_FOUND).await;
}
