//! Requests with an `Idempotency-Key`: done once, and answered as often as they are sent.

use std::time::Duration;

use futures_util::future::join_all;
use poem::http::StatusCode;
use poem::test::TestResponse;
use serde_json::{Value, json};
use vpnmanager_entities::api_key::Role;
use vpnmanager_management::api;
use vpnmanager_management::ops::idempotency::room::MOST;
use vpnmanager_testbed::wait;

use crate::database::{fresh_database, number, run, until};
use crate::stack::{ADMIN_KEY, Stack, WithKey as _, get, json_of, problem_of, registration};

const REPLAYED: &str = "idempotent-replayed";

/// A POST with this `Idempotency-Key`.
async fn post(stack: &Stack, key: &str, path: &str, body: &Value) -> TestResponse {
    post_as(stack, ADMIN_KEY, key, path, body).await
}

async fn post_as(stack: &Stack, api_key: &str, key: &str, path: &str, body: &Value) -> TestResponse {
    let client = stack.client();
    let request = client.post(path).key(api_key).header("idempotency-key", key);
    request.body_json(body).send().await
}

/// That the problem is about the header, and its words.
async fn refused(response: TestResponse, status: StatusCode) -> String {
    let (problem, fields) = problem_of(response, status).await;
    assert_eq!(fields, ["Idempotency-Key"], "{problem}");
    problem["detail"].as_str().expect("words").to_owned()
}

async fn keys(stack: &Stack, what: &str) -> i64 {
    number(
        &stack.app.db,
        &format!("SELECT count(*) FROM idempotency_keys WHERE {what}"),
    )
    .await
}

async fn tokens(stack: &Stack) -> i64 {
    number(&stack.app.db, "SELECT count(*) FROM join_tokens").await
}

#[test]
fn the_description_has_the_header_in_each_post_with_a_key_and_nowhere_else() {
    let spec = api::spec();
    let paths = spec.document()["paths"].as_object().expect("paths");
    let mut with = 0;
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let has = parameters
                .filter(|parameter| parameter["in"] == "header" && parameter["name"] == "Idempotency-Key")
                .count();
            let should = usize::from(method == "post" && operation.get("security").is_some());
            assert_eq!(has, should, "{method} {path}");
            with += has;
        }
    }
    assert!(with > 20, "{with}");
}

#[tokio::test]
async fn a_request_that_is_repeated_gets_the_first_answer_and_makes_nothing_twice() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let body = json!({ "username": "alice" });
    let first = post(&stack, "k-1", "/api/users", &body).await;
    first.assert_header("location", "/api/users/alice");
    assert!(first.0.headers().get(REPLAYED).is_none());
    let first = json_of(first, StatusCode::CREATED).await;

    // In quotes it is the same key.
    for key in ["k-1", "\"k-1\""] {
        let again = post(&stack, key, "/api/users", &body).await;
        again.assert_header("location", "/api/users/alice");
        again.assert_header("content-type", "application/json; charset=utf-8");
        again.assert_header(REPLAYED, "true");
        again.assert_header("cache-control", "no-store");
        assert_eq!(json_of(again, StatusCode::CREATED).await, first);
    }
    let audit = get(&stack, "/api/audit?action=user_created").await;
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(1));

    // A refusal is an answer too.
    let taken = post(&stack, "k-2", "/api/users", &body).await;
    let (taken, _) = problem_of(taken, StatusCode::CONFLICT).await;
    stack
        .client()
        .delete("/api/users/alice")
        .admin()
        .send()
        .await
        .assert_status_is_ok();
    let again = post(&stack, "k-2", "/api/users", &body).await;
    again.assert_header(REPLAYED, "true");
    assert_eq!(problem_of(again, StatusCode::CONFLICT).await.0, taken);
    let anew = post(&stack, "k-3", "/api/users", &body).await;
    assert_ne!(json_of(anew, StatusCode::CREATED).await["key"], first["key"]);
}

#[tokio::test]
async fn what_is_no_repetition_is_refused_and_each_api_key_has_keys_of_its_own() {
    let stack = Stack::start().await;
    stack.add_key("another-admin-key", Role::Admin).await;
    let body = json!({ "ttl": "1h" });
    json_of(post(&stack, "k", "/api/join-tokens", &body).await, StatusCode::CREATED).await;
    for (path, body) in [
        ("/api/join-tokens", json!({ "ttl": "2h" })),
        ("/api/groups", json!({ "name": "sales" })),
        ("/api/users?wait=1s", json!({ "username": "alice" })),
    ] {
        let words = refused(post(&stack, "k", path, &body).await, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert!(words.contains("another request"), "{words}");
    }
    let other = post_as(&stack, "another-admin-key", "k", "/api/join-tokens", &body).await;
    json_of(other, StatusCode::CREATED).await;
    assert_eq!(tokens(&stack).await, 2);

    let too_long = "k".repeat(256);
    for wrong in ["", "\"\"", "a b", &too_long] {
        refused(
            post(&stack, wrong, "/api/join-tokens", &body).await,
            StatusCode::BAD_REQUEST,
        )
        .await;
    }
    assert_eq!((tokens(&stack).await, keys(&stack, "true").await), (2, 2));
}

#[tokio::test]
async fn nobody_without_a_right_key_leaves_a_row_and_what_says_nothing_of_the_next_time_is_not_kept() {
    let stack = Stack::start().await;
    stack.add_key("node-key", Role::Node).await;
    let body = json!({ "ttl": "1h" });
    for (api_key, status) in [("wrong", StatusCode::UNAUTHORIZED), ("node-key", StatusCode::FORBIDDEN)] {
        let response = post_as(&stack, api_key, "k", "/api/join-tokens", &body).await;
        assert_eq!(response.0.status(), status);
    }
    let client = stack.client();
    let enrolment = registration("node-1").token(Some("wrong")).body();
    let keyless = client.post("/api/endnodes/register").header("idempotency-key", "k");
    let keyless = keyless.body_json(&enrolment).send().await;
    assert_eq!(keyless.0.status(), StatusCode::UNAUTHORIZED);
    // The body is wrong, so nothing began.
    let wrong = post(&stack, "k", "/api/join-tokens", &json!({ "tll": "1h" })).await;
    problem_of(wrong, StatusCode::BAD_REQUEST).await;
    // Other methods have no such header.
    let list = client
        .get("/api/users")
        .admin()
        .header("idempotency-key", "k")
        .send()
        .await;
    list.assert_status_is_ok();
    assert_eq!(keys(&stack, "true").await, 0);
}

#[tokio::test]
async fn an_answer_is_repeated_by_another_replica_and_after_a_restart() {
    let database = fresh_database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let pki = folder.path().join("pki");
    let settings = [("PKI_DIR", pki.to_str().expect("a path of characters"))];
    let body = json!({ "ttl": "1h" });
    let one = Stack::start_on(&database, &settings).await;
    let two = Stack::start_on(&database, &settings).await;
    let first = json_of(post(&one, "k", "/api/join-tokens", &body).await, StatusCode::CREATED).await;

    let again = post(&two, "k", "/api/join-tokens", &body).await;
    assert_eq!(json_of(again, StatusCode::CREATED).await, first);
    drop((one, two));
    let three = Stack::start_on(&database, &settings).await;
    let again = post(&three, "k", "/api/join-tokens", &body).await;
    assert_eq!(json_of(again, StatusCode::CREATED).await, first);
    assert_eq!(tokens(&three).await, 1);
}

#[tokio::test]
async fn of_twins_at_once_one_is_worked_on_and_the_other_is_put_off() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let body = json!({ "username": "alice" });
    let first = post(&stack, "k", "/api/users?wait=60s", &body);
    let others = async {
        until(&stack.app.db, "the user", "SELECT count(*) FROM users").await;
        let twin = post(&stack, "k", "/api/users?wait=60s", &body).await;
        twin.assert_header("retry-after", "1");
        refused(twin, StatusCode::CONFLICT).await;
        run(&stack.app.db, "UPDATE users SET synced = true").await;
    };
    let (first, ()) = tokio::time::timeout(wait::SOON, async { tokio::join!(first, others) })
        .await
        .expect("in time");
    let first = json_of(first, StatusCode::CREATED).await;
    let again = post(&stack, "k", "/api/users?wait=60s", &body).await;
    assert_eq!(json_of(again, StatusCode::CREATED).await, first);

    let body = json!({});
    let crowd = join_all((0..20).map(|_| post(&stack, "crowd", "/api/join-tokens", &body))).await;
    for answer in crowd {
        let status = answer.0.status();
        assert!(
            [StatusCode::CREATED, StatusCode::CONFLICT].contains(&status),
            "{status}"
        );
    }
    assert_eq!(tokens(&stack).await, 1);
}

/// Who does not wait any longer is the one who sends the request again.
#[tokio::test]
async fn a_request_is_worked_on_to_its_end_though_its_caller_is_gone() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let body = json!({ "username": "alice" });
    tokio::select! {
        _ = post(&stack, "k", "/api/users?wait=60s", &body) => panic!("nobody is synced"),
        () = until(&stack.app.db, "the user", "SELECT count(*) FROM users") => {}
    }
    run(&stack.app.db, "UPDATE users SET synced = true").await;
    until(
        &stack.app.db,
        "the answer",
        "SELECT count(*) FROM idempotency_keys WHERE answer IS NOT NULL",
    )
    .await;
    let again = post(&stack, "k", "/api/users?wait=60s", &body).await;
    again.assert_header(REPLAYED, "true");
    assert_eq!(json_of(again, StatusCode::CREATED).await["synced"], true);
}

#[tokio::test]
async fn who_reads_the_table_reads_no_secret() {
    let stack = Stack::start().await;
    let key = "a-key-that-nobody-guesses";
    let made = json_of(
        post(&stack, key, "/api/join-tokens", &json!({})).await,
        StatusCode::CREATED,
    )
    .await;
    let token = made["token"].as_str().expect("a token");
    assert_eq!(keys(&stack, "answer IS NOT NULL").await, 1);
    for secret in [token, key, "expires_at", ADMIN_KEY] {
        let found =
            format!("position('{secret}' IN encode(answer, 'escape') || encode(key_hash, 'escape') || caller) > 0");
        assert_eq!(keys(&stack, &found).await, 0, "{secret}");
    }

    // An API key of the same name that took the place of the first one: it does not read what the first one was given.
    run(
        &stack.app.db,
        "UPDATE api_keys SET hash = sha256('the-next-secret') WHERE name = 'admin'",
    )
    .await;
    let again = post_as(&stack, "the-next-secret", key, "/api/join-tokens", &json!({})).await;
    let words = refused(again, StatusCode::CONFLICT).await;
    assert!(words.contains("only the API key that sent it"), "{words}");
    assert_eq!(tokens(&stack).await, 1);
}

#[tokio::test]
async fn a_day_later_it_is_another_request() {
    let stack = Stack::start().await;
    let make = async |ttl: &str| post(&stack, "k", "/api/join-tokens", &json!({ "ttl": ttl })).await;
    let first = json_of(make("1h").await, StatusCode::CREATED).await;
    let age = async |hours: u32| {
        let older = format!("UPDATE idempotency_keys SET created_at = now() - interval '{hours} hours'");
        run(&stack.app.db, &older).await;
    };
    age(23).await;
    assert_eq!(json_of(make("1h").await, StatusCode::CREATED).await, first);
    age(25).await;
    let other = make("2h").await;
    assert!(other.0.headers().get(REPLAYED).is_none());
    assert_ne!(json_of(other, StatusCode::CREATED).await["id"], first["id"]);
    assert_eq!((tokens(&stack).await, keys(&stack, "true").await), (2, 1));
}

#[tokio::test]
async fn what_ended_without_an_answer_is_said_to_be_unknown_and_is_not_done_again() {
    let stack = Stack::start().await;
    let make = async || post(&stack, "k", "/api/join-tokens", &json!({})).await;
    json_of(make().await, StatusCode::CREATED).await;
    // As a replica leaves it that was killed in between.
    run(
        &stack.app.db,
        "UPDATE idempotency_keys SET answered_at = NULL, answer = NULL, lease_until = now() - interval '1 second'",
    )
    .await;
    let response = make().await;
    assert!(response.0.headers().get("retry-after").is_none());
    let words = refused(response, StatusCode::CONFLICT).await;
    assert!(words.contains("not known whether it was done"), "{words}");
    assert_eq!(tokens(&stack).await, 1);

    // As one leaves it whose answer was too long.
    run(&stack.app.db, "UPDATE idempotency_keys SET answered_at = now()").await;
    let words = refused(make().await, StatusCode::CONFLICT).await;
    assert!(words.contains("too long to be kept"), "{words}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_reaches_its_caller_and_is_not_kept() {
    let stack = Stack::start().await;
    let items: Vec<Value> = (0..7000)
        .map(|number| json!({ "action": "remove", "username": format!("nobody-{number:0>40}") }))
        .collect();
    let body = json!({ "items": items });
    let first = json_of(post(&stack, "k", "/api/users:batch", &body).await, StatusCode::OK).await;
    assert!(first.to_string().len() > 1 << 20, "{}", first.to_string().len());
    let words = refused(post(&stack, "k", "/api/users:batch", &body).await, StatusCode::CONFLICT).await;
    assert!(words.contains("too long to be kept"), "{words}");
}

#[tokio::test]
async fn what_failed_for_want_of_the_database_is_done_when_it_is_back() {
    let stack = Stack::start().await;
    let body = json!({ "name": "sales" });
    run(&stack.app.db, "ALTER TABLE groups RENAME TO groups_away").await;
    let failed = post(&stack, "k", "/api/groups", &body).await;
    assert_eq!(failed.0.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(keys(&stack, "true").await, 0);
    run(&stack.app.db, "ALTER TABLE groups_away RENAME TO groups").await;
    let done = wait::until(Duration::from_secs(10), "the group", async || {
        post(&stack, "k", "/api/groups", &body).await.0.status() == StatusCode::CREATED
    });
    done.await.expect("in time");
}

#[tokio::test]
async fn an_answer_that_could_not_be_recorded_is_given_and_recorded_later() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let body = json!({ "username": "alice" });
    let first = post(&stack, "k", "/api/users?wait=60s", &body);
    let outage = async {
        until(&stack.app.db, "the user", "SELECT count(*) FROM users").await;
        run(&stack.app.db, "ALTER TABLE idempotency_keys RENAME TO away").await;
        run(&stack.app.db, "UPDATE users SET synced = true").await;
    };
    let (first, ()) = tokio::time::timeout(wait::SOON, async { tokio::join!(first, outage) })
        .await
        .expect("in time");
    let first = json_of(first, StatusCode::CREATED).await;
    run(&stack.app.db, "ALTER TABLE away RENAME TO idempotency_keys").await;
    until(
        &stack.app.db,
        "the record",
        "SELECT count(*) FROM idempotency_keys WHERE answer IS NOT NULL",
    )
    .await;
    let again = post(&stack, "k", "/api/users?wait=60s", &body).await;
    assert_eq!(json_of(again, StatusCode::CREATED).await, first);
}

#[tokio::test]
async fn no_api_key_fills_the_table() {
    let stack = Stack::start().await;
    json_of(
        post(&stack, "first", "/api/join-tokens", &json!({})).await,
        StatusCode::CREATED,
    )
    .await;
    let full = format!(
        "INSERT INTO idempotency_keys (caller, key_hash, fingerprint, claim, claimed_by, lease_until)
         SELECT 'ci', convert_to(i::text, 'UTF8'), '', 1, 'm', now() FROM generate_series(1, {MOST}) i"
    );
    run(&stack.app.db, &full).await;
    run(
        &stack.app.db,
        "INSERT INTO api_keys (name, hash, role) VALUES ('ci', sha256('the-key-of-ci'), 'admin')",
    )
    .await;
    let more = post_as(&stack, "the-key-of-ci", "more", "/api/join-tokens", &json!({})).await;
    more.assert_header("retry-after", "60");
    problem_of(more, StatusCode::TOO_MANY_REQUESTS).await;
    let others = post(&stack, "second", "/api/join-tokens", &json!({})).await;
    json_of(others, StatusCode::CREATED).await;
    let client = stack.client();
    let without = client.post("/api/join-tokens").key("the-key-of-ci");
    json_of(without.body_json(&json!({})).send().await, StatusCode::CREATED).await;
    assert_eq!(tokens(&stack).await, 3);
}
