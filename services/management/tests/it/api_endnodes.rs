//! End-nodes and join tokens over HTTP.

use poem::http::StatusCode;
use poem::test::TestResponse;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use crate::stack::{ADMIN_KEY, Registering, Stack, WithKey as _, get, json_of, problem_of, registration};

/// Registers with a join token and without an API key.
async fn register(stack: &Stack, node: &Registering, token: Option<&str>) -> TestResponse {
    stack
        .client()
        .post("/api/endnodes/register")
        .body_json(&node.again().token(token).body())
        .send()
        .await
}

async fn assert_refused(response: TestResponse, detail: &str) {
    let (problem, _) = problem_of(response, StatusCode::UNAUTHORIZED).await;
    let said = problem["detail"].as_str().expect("a detail");
    assert!(said.starts_with(detail), "{said}");
}

#[tokio::test]
async fn a_join_token_enrols_one_node_once() {
    let stack = Stack::start().await;
    let token = stack.join_token(json!({})).await;
    let node = registration("node-1");
    let response = register(&stack, &node, Some(&token)).await;
    response.assert_header("location", "/api/endnodes/node-1");
    response.assert_header("cache-control", "no-store");
    let enrolment = json_of(response, StatusCode::CREATED).await;
    assert_eq!(enrolment["server_id"], "node-1");
    assert_eq!(enrolment["bus"]["urls"], json!([stack.nats.tls_url()]));
    assert_eq!(enrolment["pki"]["ca"], stack.app.pki.ca_pem());
    assert_eq!(
        enrolment["pki"]["server_name_prefix"],
        stack.app.pki.server_name_prefix()
    );
    for (section, field, begin) in [
        ("bus", "ca", "-----BEGIN CERTIFICATE-----"),
        ("bus", "jwt", "eyJ"),
        ("pki", "certificate", "-----BEGIN CERTIFICATE-----"),
        (
            "pki",
            "tls_crypt_v2_key",
            "-----BEGIN OpenVPN tls-crypt-v2 server key-----",
        ),
    ] {
        assert!(
            enrolment[section][field]
                .as_str()
                .is_some_and(|text| text.starts_with(begin)),
            "{section}.{field}"
        );
    }
    // The answer may have been lost: the same keys may ask again.
    json_of(register(&stack, &node, Some(&token)).await, StatusCode::CREATED).await;
    assert_refused(
        register(&stack, &registration("node-2"), Some(&token)).await,
        "the join token was used already, for another node, key, certificate request or endpoint: make a new token for this server_id",
    )
    .await;
}

#[tokio::test]
async fn an_expired_foreign_or_missing_token_enrols_nobody() {
    let stack = Stack::start().await;
    let expired = stack.join_token(json!({ "ttl": "1h" })).await;
    stack
        .app
        .db
        .execute_unprepared("UPDATE join_tokens SET expires_at = now()")
        .await
        .expect("updated");
    let bound = stack.join_token(json!({ "server_id": "node-2", "ttl": "7days" })).await;
    for (token, detail) in [
        (Some(expired.as_str()), "the join token has expired"),
        (Some(bound.as_str()), "the join token is not valid"),
        (Some("vpnjoin-nonsense"), "the join token is not valid"),
        (Some(ADMIN_KEY), "the join token is not valid"),
        (None, "a join_token in the body or a key is needed"),
    ] {
        assert_refused(register(&stack, &registration("node-1"), token).await, detail).await;
    }
    let (problem, _) = problem_of(
        stack.client().get("/api/endnodes/node-1").admin().send().await,
        StatusCode::NOT_FOUND,
    )
    .await;
    assert_eq!(problem["detail"], "there is no such server");
    json_of(
        register(&stack, &registration("node-2"), Some(&bound)).await,
        StatusCode::CREATED,
    )
    .await;
}

#[tokio::test]
async fn a_name_is_not_taken_from_a_node_by_a_key_but_by_a_token_made_for_it() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let by_key = stack
        .client()
        .post("/api/endnodes/register")
        .admin()
        .body_json(&registration("node-1").body())
        .send()
        .await;
    assert_eq!(problem_of(by_key, StatusCode::CONFLICT).await.1, ["server_id"]);
    let any = stack.join_token(json!({})).await;
    problem_of(
        register(&stack, &registration("node-1"), Some(&any)).await,
        StatusCode::CONFLICT,
    )
    .await;
    let bound = stack.join_token(json!({ "server_id": "node-1" })).await;
    json_of(
        register(&stack, &registration("node-1"), Some(&bound)).await,
        StatusCode::CREATED,
    )
    .await;
}

#[tokio::test]
async fn a_nodes_health_is_reported_and_what_is_left_out_stays() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let report = async |body: Value| {
        let response = stack
            .client()
            .post("/api/endnodes/node-1/health")
            .admin()
            .body_json(&body)
            .send()
            .await;
        json_of(response, StatusCode::OK).await
    };
    let seen = json_of(
        stack.client().get("/api/endnodes/node-1").admin().send().await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(
        (&seen["state"], seen.get("health"), &seen["sync"]["wanted"]),
        (&json!("enrolled"), None, &json!(0))
    );

    let healthy = report(json!({ "openvpn_state": "up", "sessions": 3, "capacity": 100 })).await;
    assert_eq!(
        (&healthy["state"], &healthy["health"]["sessions"]),
        (&json!("healthy"), &json!(3))
    );
    let down = report(json!({ "openvpn_state": "down", "detail": "killed" })).await;
    assert_eq!(down["state"], "degraded");
    let reason = down["state_reason"].as_str().expect("a reason");
    assert!(reason.starts_with("OpenVPN is down: killed; "), "{reason}");
    assert_eq!(
        (&down["health"]["sessions"], &down["health"]["capacity"]),
        (&json!(3), &json!(100))
    );
    let still_down = report(json!({})).await;
    assert_eq!(still_down["health"]["openvpn_state"], "down");

    let nowhere = stack
        .client()
        .post("/api/endnodes/nowhere/health")
        .admin()
        .body_json(&json!({}))
        .send()
        .await;
    problem_of(nowhere, StatusCode::NOT_FOUND).await;
    let great = json!({ "openvpn_state": "great" });
    let response = stack
        .client()
        .post("/api/endnodes/node-1/health")
        .admin()
        .body_json(&great)
        .send()
        .await;
    assert_eq!(problem_of(response, StatusCode::BAD_REQUEST).await.1, ["openvpn_state"]);
}

#[tokio::test]
async fn nodes_are_listed_in_pages_and_leave_the_fleet_for_good() {
    let stack = Stack::start().await;
    for number in 1..=3 {
        stack.enrol(&format!("node-{number}")).await;
    }
    let first = get(&stack, "/api/endnodes?limit=2").await;
    let cursor = first["next_cursor"].as_str().expect("more").to_owned();
    let second = get(&stack, &format!("/api/endnodes?limit=2&cursor={cursor}")).await;
    let ids: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().expect("items"))
        .map(|node| &node["server_id"])
        .collect();
    assert_eq!(ids, ["node-1", "node-2", "node-3"]);
    assert!(second.get("next_cursor").is_none());

    let path = "/api/endnodes/node-2/deregister";
    stack
        .client()
        .post(path)
        .admin()
        .send()
        .await
        .assert_status(StatusCode::NO_CONTENT);
    problem_of(stack.client().post(path).admin().send().await, StatusCode::NOT_FOUND).await;
    problem_of(
        stack.client().get("/api/endnodes/node-2").admin().send().await,
        StatusCode::NOT_FOUND,
    )
    .await;
    let audit = get(&stack, "/api/audit?server_id=node-2").await;
    let actions: Vec<&Value> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|entry| &entry["action"])
        .collect();
    assert_eq!(actions, ["node_deregistered", "node_registered"]);
}

#[tokio::test]
async fn the_audit_trail_pages_backwards_knows_addresses_and_filters_by_time() {
    let stack = Stack::start().await;
    let address = stack.serve().await;
    let http = reqwest::Client::new();
    for _ in 0..3 {
        let request = http
            .post(format!("http://{address}/api/join-tokens"))
            .header("x-api-key", ADMIN_KEY)
            .json(&json!({}));
        assert_eq!(request.send().await.expect("answered").status(), 201);
    }
    let newest = get(&stack, "/api/audit?limit=2&action=join_token_created").await;
    let items = newest["items"].as_array().expect("items");
    assert!(items[0]["id"].as_i64() > items[1]["id"].as_i64(), "{newest}");
    assert_eq!(items[0]["ip_address"], "127.0.0.1");
    let cursor = newest["next_cursor"].as_str().expect("more");
    let oldest = get(
        &stack,
        &format!("/api/audit?limit=2&action=join_token_created&cursor={cursor}"),
    )
    .await;
    assert_eq!(oldest["items"].as_array().expect("items").len(), 1);

    let at = items[1]["timestamp"].as_str().expect("a time");
    assert_eq!(
        get(&stack, &format!("/api/audit?action=join_token_created&since={at}")).await["items"]
            .as_array()
            .expect("items")
            .len(),
        2
    );
    assert_eq!(
        get(&stack, &format!("/api/audit?action=join_token_created&until={at}")).await["items"]
            .as_array()
            .expect("items")
            .len(),
        1
    );
    assert!(
        !newest.to_string().contains("vpnjoin-"),
        "a token is in the audit trail"
    );
}
