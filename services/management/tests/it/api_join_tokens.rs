//! Join tokens over HTTP: what is shown of them, and how one is revoked.

use chrono::{DateTime, Utc};
use poem::http::StatusCode;
use poem::test::TestResponse;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, TransactionTrait as _};
use serde_json::{Value, json};
use vpnmanager_entities::api_key::Role;
use vpnmanager_management::https::OwnCertificate;
use vpnmanager_openapi::contract::join_token;
use vpnmanager_openapi::server::tls::ServedCertificate;
use vpnmanager_testbed::wait;

use crate::database::{number, run};
use crate::stack::{Stack, WithKey as _, get, json_of, post, problem_of, registration};

/// A token as its maker got it.
struct Made {
    id: i64,
    token: String,
}

async fn make(stack: &Stack, wish: Value) -> Made {
    let answer = post(stack, "/api/join-tokens", &wish).await;
    let made = json_of(answer, StatusCode::CREATED).await;
    Made {
        id: made["id"].as_i64().expect("an id"),
        token: made["token"].as_str().expect("a token").to_owned(),
    }
}

async fn revoke(stack: &Stack, id: impl ToString) -> TestResponse {
    let path = format!("/api/join-tokens/{}", id.to_string());
    stack.client().delete(path).admin().send().await
}

async fn enrol(stack: &Stack, node: &str, token: &str) -> TestResponse {
    let body = registration(node).token(Some(token)).body();
    let client = stack.client();
    client.post("/api/endnodes/register").body_json(&body).send().await
}

async fn enrolled(stack: &Stack, node: &str, token: &str) {
    json_of(enrol(stack, node, token).await, StatusCode::CREATED).await;
}

/// Why a token does not enrol a node.
async fn refusal(stack: &Stack, node: &str, token: &str) -> String {
    let response = enrol(stack, node, token).await;
    let (problem, _) = problem_of(response, StatusCode::UNAUTHORIZED).await;
    problem["detail"].as_str().expect("a detail").to_owned()
}

async fn expire(stack: &Stack, id: i64) {
    let ended = format!("UPDATE join_tokens SET expires_at = now() WHERE id = {id}");
    run(&stack.app.db, &ended).await;
}

async fn revocations(stack: &Stack) -> Vec<Value> {
    let listed = get(stack, "/api/audit?action=join_token_revoked").await;
    listed["items"].as_array().expect("items").clone()
}

fn ids(page: &Value) -> Vec<i64> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|item| item["id"].as_i64().expect("an id")).collect()
}

fn end_of(state: &Value) -> DateTime<Utc> {
    let end = state["expires_at"].as_str().expect("a time");
    end.parse().expect("a time")
}

#[tokio::test]
async fn tokens_are_listed_with_their_states_and_never_shown_again() {
    let stack = Stack::start().await;
    let used = make(&stack, json!({ "server_id": "node-1" })).await;
    enrolled(&stack, "node-1", &used.token).await;
    let expired = make(&stack, json!({})).await;
    expire(&stack, expired.id).await;
    let open = make(&stack, json!({ "ttl": "7days" })).await;

    let all = get(&stack, "/api/join-tokens").await;

    assert_eq!(ids(&all), [open.id, expired.id, used.id], "{all}");
    let items = all["items"].as_array().expect("items");
    for (item, state) in items.iter().zip(["open", "expired", "used"]) {
        assert_eq!(
            (&item["state"], &item["created_by"]),
            (&json!(state), &json!("key:admin"))
        );
        assert!(
            item["created_at"].is_string() && item["expires_at"].is_string(),
            "{item}"
        );
        let only = get(&stack, &format!("/api/join-tokens?state={state}")).await;
        assert_eq!(only["items"], json!([item]), "{state}");
    }
    assert_eq!(
        (&items[2]["server_id"], &items[2]["used_by"]),
        (&json!("node-1"), &json!("node-1"))
    );
    assert!(items[2]["used_at"].is_string(), "{all}");
    for field in ["server_id", "used_at", "used_by"] {
        assert_eq!(items[0].get(field), None, "{field}");
    }
    for item in items {
        assert!(item.get("token").is_none() && item.get("hash").is_none(), "{item}");
    }
    assert!(!all.to_string().contains("vpnjoin-"), "a token is in the list");
}

#[tokio::test]
async fn tokens_come_in_pages_that_keep_the_filter() {
    let stack = Stack::start().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(make(&stack, json!({})).await.id);
    }
    made.reverse();

    let path = "/api/join-tokens?state=open&limit=2";
    let response = stack.client().get(path).admin().send().await;
    let link = response.0.header("link").map(str::to_owned).expect("a link");
    let first = json_of(response, StatusCode::OK).await;
    let cursor = first["next_cursor"].as_str().expect("more");
    let second = get(&stack, &format!("{path}&cursor={cursor}")).await;

    assert_eq!([ids(&first), ids(&second)].concat(), made);
    assert_eq!(link, format!("<{path}&cursor={cursor}>; rel=\"next\""));
    assert_eq!(second.get("next_cursor"), None);
}

#[tokio::test]
async fn a_revoked_token_enrols_nobody_and_the_trail_says_who_revoked_it() {
    let stack = Stack::start().await;
    let seen = make(&stack, json!({ "server_id": "node-2" })).await;
    let other = make(&stack, json!({ "server_id": "node-3" })).await;
    let unknown = refusal(&stack, "node-2", "vpnjoin-aaaaaaaaaaaaaaaa").await;

    revoke(&stack, seen.id).await.assert_status(StatusCode::NO_CONTENT);

    assert_eq!(refusal(&stack, "node-2", &seen.token).await, unknown);
    let listed = get(&stack, "/api/join-tokens?state=expired").await;
    assert_eq!(ids(&listed), [seen.id], "{listed}");
    let entries = revocations(&stack).await;
    let [entry] = entries.as_slice() else {
        panic!("one entry: {entries:?}");
    };
    assert_eq!(
        (&entry["actor"], &entry["server_id"]),
        (&json!("key:admin"), &json!("management-test"))
    );
    for state in [&entry["before"], &entry["after"]] {
        assert_eq!(
            (&state["id"], &state["server_id"]),
            (&json!(seen.id), &json!("node-2")),
            "{entry}"
        );
    }
    assert!(end_of(&entry["after"]) < end_of(&entry["before"]), "{entry}");
    assert_eq!(end_of(&entry["after"]), end_of(&listed["items"][0]));
    assert!(!entry.to_string().contains("vpnjoin-"), "a token is in the audit trail");
    enrolled(&stack, "node-3", &other.token).await;
}

#[tokio::test]
async fn revoking_what_is_over_ends_nothing_and_records_nothing() {
    let stack = Stack::start().await;
    let expired = make(&stack, json!({})).await;
    expire(&stack, expired.id).await;
    let before = get(&stack, "/api/join-tokens").await;
    revoke(&stack, expired.id).await.assert_status(StatusCode::NO_CONTENT);
    assert_eq!(get(&stack, "/api/join-tokens").await, before);
    assert!(revocations(&stack).await.is_empty());

    let revoked = make(&stack, json!({})).await;
    for _ in 0..2 {
        revoke(&stack, revoked.id).await.assert_status(StatusCode::NO_CONTENT);
    }
    assert_eq!(revocations(&stack).await.len(), 1);
}

/// Its time may go on by the clock of the replica that it is shown to.
#[tokio::test]
async fn a_token_that_had_expired_is_forgotten_when_it_is_revoked() {
    let stack = Stack::start().await;
    let expired = make(&stack, json!({})).await;
    expire(&stack, expired.id).await;
    let unknown = refusal(&stack, "node-1", "vpnjoin-aaaaaaaaaaaaaaaa").await;
    revoke(&stack, expired.id).await.assert_status(StatusCode::NO_CONTENT);
    let goes_on = format!(
        "UPDATE join_tokens SET expires_at = now() + interval '1 hour' WHERE id = {}",
        expired.id
    );
    run(&stack.app.db, &goes_on).await;
    assert_eq!(refusal(&stack, "node-1", &expired.token).await, unknown);
}

#[tokio::test]
async fn a_used_token_is_not_revoked_and_the_refusal_names_the_node() {
    let stack = Stack::start().await;
    let used = make(&stack, json!({})).await;
    enrolled(&stack, "node-1", &used.token).await;
    let before = get(&stack, "/api/join-tokens").await;
    for end in ["before its time is over", "later"] {
        let response = revoke(&stack, used.id).await;
        let (problem, fields) = problem_of(response, StatusCode::CONFLICT).await;
        assert_eq!(fields, Vec::<String>::new(), "{end}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(
            detail.starts_with("server node-1 enrolled with the join token already")
                && detail.ends_with("deregister it with POST /api/endnodes/node-1/deregister"),
            "{end}: {detail}"
        );
        expire(&stack, used.id).await;
    }
    let after = get(&stack, "/api/join-tokens").await;
    assert_eq!(after["items"][0]["used_at"], before["items"][0]["used_at"]);
    assert_eq!(after["items"][0]["state"], "used");
    assert!(revocations(&stack).await.is_empty());
}

#[tokio::test]
async fn an_id_that_no_token_has_or_can_have_is_refused() {
    let stack = Stack::start().await;
    let (problem, _) = problem_of(revoke(&stack, 4711).await, StatusCode::NOT_FOUND).await;
    assert_eq!(problem["detail"], "there is no such join token");
    for bad in ["x", "0", "-1", "01", "1.5", "9223372036854775808"] {
        let (problem, fields) = problem_of(revoke(&stack, bad).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["id"], "{bad}: {problem}");
    }
}

#[tokio::test]
async fn a_key_of_the_node_role_neither_sees_nor_revokes_tokens() {
    const NODE_KEY: &str = "a-key-of-the-role-node";
    let stack = Stack::start().await;
    stack.add_key(NODE_KEY, Role::Node).await;
    let made = make(&stack, json!({})).await;
    let client = stack.client();

    let list = client.get("/api/join-tokens").key(NODE_KEY).send().await;
    problem_of(list, StatusCode::FORBIDDEN).await;
    let path = format!("/api/join-tokens/{}", made.id);
    let revoke = client.delete(path).key(NODE_KEY).send().await;
    problem_of(revoke, StatusCode::FORBIDDEN).await;

    enrolled(&stack, "node-1", &made.token).await;
}

#[tokio::test]
async fn of_a_revocation_and_an_enrolment_at_once_one_wins() {
    let stack = Stack::start().await;
    for round in 1..=8 {
        let made = make(&stack, json!({})).await;
        let node = format!("node-{round}");
        let (enrolment, revocation) =
            futures_util::future::join(enrol(&stack, &node, &made.token), revoke(&stack, made.id)).await;
        let statuses = (enrolment.0.status().as_u16(), revocation.0.status().as_u16());
        assert!([(201, 409), (401, 204)].contains(&statuses), "{statuses:?}");
        let state = if statuses.0 == 201 { "used" } else { "expired" };
        let listed = get(&stack, "/api/join-tokens?limit=1").await;
        assert_eq!(listed["items"][0]["state"], state, "{listed}");
    }
}

/// Has both wait for the row of the token, which somebody else holds, and then get it in this order.
async fn in_turn(
    stack: &Stack,
    id: i64,
    first: impl Future<Output = TestResponse>,
    second: impl Future<Output = TestResponse>,
) -> (TestResponse, TestResponse) {
    let db = &stack.app.db;
    let somebody = db.begin().await.expect("begun");
    let lock = format!("SELECT id FROM join_tokens WHERE id = {id} FOR UPDATE");
    somebody.execute_unprepared(&lock).await.expect("locked");
    let second = async {
        wait_for_waiters(db, 1).await;
        second.await
    };
    let release = async {
        wait_for_waiters(db, 2).await;
        somebody.rollback().await.expect("unlocked");
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    (first, second)
}

async fn wait_for_waiters(db: &DatabaseConnection, wanted: i64) {
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%join_tokens%'";
    wait::until(wait::SOON, "they wait for the token", async || {
        number(db, waits).await == wanted
    })
    .await
    .expect("they wait");
}

/// Both found the token open before they had to wait.
#[tokio::test]
async fn whoever_waited_for_the_token_looks_at_it_again() {
    let stack = Stack::start().await;
    let revoked = make(&stack, json!({})).await;
    let (revocation, enrolment) = in_turn(
        &stack,
        revoked.id,
        revoke(&stack, revoked.id),
        enrol(&stack, "node-1", &revoked.token),
    )
    .await;
    revocation.assert_status(StatusCode::NO_CONTENT);
    problem_of(enrolment, StatusCode::UNAUTHORIZED).await;

    let used = make(&stack, json!({})).await;
    let (enrolment, revocation) = in_turn(
        &stack,
        used.id,
        enrol(&stack, "node-2", &used.token),
        revoke(&stack, used.id),
    )
    .await;
    enrolment.assert_status(StatusCode::CREATED);
    problem_of(revocation, StatusCode::CONFLICT).await;
}

#[tokio::test]
async fn a_token_names_the_ca_of_the_https_that_it_is_told_to() {
    let stack = Stack::start().await;
    let plain = make(&stack, json!({})).await.token;
    assert_eq!(join_token::split(&plain), (plain.as_str(), None));

    let folder = &stack.config.pki.dir;
    let own = OwnCertificate::new(folder, "management-test", vec!["localhost".to_owned()]);
    stack
        .app
        .https
        .serves(ServedCertificate::new(own.current().expect("a certificate")));
    for node in ["node-1", "node-2"] {
        let token = make(&stack, json!({ "server_id": node })).await.token;
        let (secret, authority) = join_token::split(&token);
        assert_eq!(authority, Some(stack.app.pki.ca_fingerprint()));
        // An agent of an older release sends all of it.
        enrolled(&stack, node, if node == "node-1" { secret } else { &token }).await;
    }
    // What was made before goes on.
    enrolled(&stack, "node-3", &plain).await;
}
