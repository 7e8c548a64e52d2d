//! Attacks on the enrolment of nodes, and what an honest node may repeat.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use nkeys::KeyPair;
use poem::http::StatusCode;
use poem::test::TestResponse;
use serde_json::{Value, json};
use vpnmanager_entities::api_key::Role;
use vpnmanager_testbed::wait;

use crate::database::run;
use crate::stack::{ADMIN_KEY, Registering, Stack, WithKey as _, csr, get, json_of, problem_of, registration};

const NODE_KEY: &str = "a-key-of-the-role-node";

async fn send(stack: &Stack, body: &Value) -> TestResponse {
    stack
        .client()
        .post("/api/endnodes/register")
        .body_json(body)
        .send()
        .await
}

async fn send_with_key(stack: &Stack, key: &str, body: &Value) -> TestResponse {
    let client = stack.client();
    let request = client.post("/api/endnodes/register").key(key).body_json(body);
    request.send().await
}

async fn enrolled(stack: &Stack, node: &Registering) -> Value {
    json_of(send(stack, &node.body()).await, StatusCode::CREATED).await
}

/// The field that a bad request is refused for, and the words.
async fn refused_field(response: TestResponse) -> (String, String) {
    refused_field_with(response, StatusCode::BAD_REQUEST).await
}

/// What has the right form and proves nothing.
async fn unproven_field(response: TestResponse) -> (String, String) {
    refused_field_with(response, StatusCode::FORBIDDEN).await
}

async fn refused_field_with(response: TestResponse, status: StatusCode) -> (String, String) {
    let (problem, fields) = problem_of(response, status).await;
    let [field] = fields.as_slice() else {
        panic!("one field: {problem}");
    };
    (field.clone(), problem["detail"].as_str().expect("a detail").to_owned())
}

async fn is_used_up(response: TestResponse) {
    let (problem, _) = problem_of(response, StatusCode::UNAUTHORIZED).await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("the join token was used already"), "{detail}");
}

async fn endnode(stack: &Stack, id: &str) -> Value {
    get(stack, &format!("/api/endnodes/{id}")).await
}

async fn registrations(stack: &Stack) -> usize {
    let listed = get(stack, "/api/audit?action=node_registered").await;
    listed["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn a_request_that_its_bus_key_did_not_sign_enrols_nobody() {
    let stack = Stack::start().await;
    let (one, other) = (stack.join_token(json!({})).await, stack.join_token(json!({})).await);
    let honest = registration("node-1").token(Some(&one)).body();
    let altered = [
        ("server_id", json!("node-2")),
        ("bus_public_key", json!(KeyPair::new_user().public_key())),
        ("csr", json!(csr())),
        ("host", json!("evil.example")),
        ("port", json!(1195)),
        ("protocol", json!("tcp")),
        ("pool", json!("other")),
        ("capacity", json!(1)),
        ("join_token", json!(other)),
        ("at", json!(Utc::now())),
        (
            "signature",
            registration("node-1").token(Some(&one)).body()["signature"].clone(),
        ),
        ("signature", json!("A".repeat(86))),
    ];
    for (field, value) in altered {
        let mut body = honest.clone();
        body[field] = value;
        let (refused, detail) = unproven_field(send(&stack, &body).await).await;
        assert_eq!(refused, "signature", "{field}: {detail}");
    }
    let mut unsigned = honest.clone();
    unsigned["signature"] = Value::Null;
    assert_eq!(refused_field(send(&stack, &unsigned).await).await.0, "signature");
    let mut no_key = honest.clone();
    let key = honest["bus_public_key"].as_str().expect("a key");
    no_key["bus_public_key"] = json!(format!("{}AAAA", &key[..52]));
    assert_eq!(unproven_field(send(&stack, &no_key).await).await.0, "bus_public_key");
    let mut untimed = honest.clone();
    untimed.as_object_mut().expect("an object").remove("at");
    assert_eq!(refused_field(send(&stack, &untimed).await).await.0, "at");
    let listed = stack.client().get("/api/endnodes").admin().send().await;
    assert_eq!(json_of(listed, StatusCode::OK).await["items"], json!([]));

    // None of that used the token up.
    json_of(send(&stack, &honest).await, StatusCode::CREATED).await;
}

#[tokio::test]
async fn a_node_that_clients_elsewhere_could_not_dial_is_refused_and_keeps_its_token() {
    let stack = Stack::start().await;
    let token = stack.join_token(json!({})).await;
    let node = registration("node-1").token(Some(&token));

    // As through a proxy on this machine.
    let url = format!("http://{}/api/endnodes/register", stack.serve().await);
    let nameless = node.again().with("host", Value::Null).body();
    let refused = reqwest::Client::new().post(url).json(&nameless).send().await;
    let refused = refused.expect("answered");
    assert_eq!(refused.status(), 400);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem: Value = refused.json().await.expect("a problem");
    assert_eq!(problem["errors"][0]["field"], "host", "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().expect("words");
    assert!(
        detail.contains("from 127.0.0.1") && detail.contains("Set PUBLIC_HOST"),
        "{detail}"
    );

    for host in [
        "0.0.0.0",
        "0",
        "::",
        "::ffff:0.0.0.0",
        "169.254.7.7",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
    ] {
        let (field, detail) = refused_field(send(&stack, &node.again().with("host", host).body()).await).await;
        assert_eq!(field, "host");
        assert!(detail.contains(host) && detail.contains("Set PUBLIC_HOST"), "{detail}");
    }
    let scoped = node.again().with("host", "fe80::1%eth0").body();
    assert_eq!(refused_field(send(&stack, &scoped).await).await.0, "host");

    for (number, host) in ["127.0.0.1", "::1", "localhost"].into_iter().enumerate() {
        let trial = registration(&format!("trial-{number}")).with("host", host);
        json_of(
            send_with_key(&stack, ADMIN_KEY, &trial.body()).await,
            StatusCode::CREATED,
        )
        .await;
    }
    enrolled(&stack, &node.with("host", "vpn1.example.org")).await;
}

#[tokio::test]
async fn a_clock_that_is_ten_minutes_off_is_said_in_words() {
    let stack = Stack::start().await;
    let token = stack.join_token(json!({})).await;
    let node = registration("node-1").token(Some(&token));
    for (off, words) in [
        (TimeDelta::minutes(-10), "behind management's clock"),
        (TimeDelta::minutes(10), "ahead of management's clock"),
        (TimeDelta::days(365 * 1000), "ahead of management's clock"),
        (TimeDelta::days(-365 * 50), "behind management's clock"),
    ] {
        let (field, detail) = unproven_field(send(&stack, &node.body_at(Utc::now() + off)).await).await;
        assert_eq!(field, "at");
        assert!(detail.contains(words) && detail.contains("set the clock"), "{detail}");
    }
    let late = node.body_at(Utc::now() - TimeDelta::minutes(4));
    json_of(send(&stack, &late).await, StatusCode::CREATED).await;
}

#[tokio::test]
async fn a_signature_is_checked_before_the_database_is_asked() {
    let stack = Stack::start().await;
    let honest = registration("node-1").token(Some("vpnjoin-aaaaaaaaaaaaaaaa")).body();
    let mut forged = honest.clone();
    forged["port"] = json!(443);
    stack.app.db.clone().close().await.expect("closed");
    assert_eq!(unproven_field(send(&stack, &forged).await).await.0, "signature");
    problem_of(send(&stack, &honest).await, StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn a_used_token_repeats_its_first_use_and_nothing_else() {
    let stack = Stack::start().await;
    let token = stack.join_token(json!({})).await;
    let node = registration("node-1").token(Some(&token));
    let tls_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let request = || {
        let request = rcgen::CertificateParams::default().serialize_request(&tls_key);
        request.expect("a request").pem().expect("PEM")
    };
    enrolled(&stack, &node.again().with("csr", request())).await;
    let before = endnode(&stack, "node-1").await;

    // An agent that was killed before it had the answer signs another request, for the same key.
    let repeated = node.again().with("csr", request());
    enrolled(&stack, &repeated).await;
    let others = repeated.again().with("capacity", 7).with("agent_version", "9.9.9");
    enrolled(&stack, &others).await;
    assert_eq!(endnode(&stack, "node-1").await, before);
    assert_eq!(registrations(&stack).await, 1, "a repetition was recorded");

    for (field, value) in [
        ("csr", csr()),
        ("host", "evil.example".to_owned()),
        ("protocol", "tcp".to_owned()),
        ("pool", "other".to_owned()),
        ("server_id", "node-2".to_owned()),
    ] {
        is_used_up(send(&stack, &repeated.again().with(field, value).body()).await).await;
    }
    is_used_up(send(&stack, &repeated.again().with("port", 443).body()).await).await;
    is_used_up(send(&stack, &repeated.again().by(KeyPair::new_user()).body()).await).await;
    assert_eq!(endnode(&stack, "node-1").await, before);
}

/// Its row is there until its users have left it.
#[tokio::test]
async fn a_node_that_was_deregistered_does_not_come_back_while_users_leave_it() {
    let stack = Stack::start().await;
    let used = stack.join_token(json!({})).await;
    let node = registration("node-1").token(Some(&used));
    enrolled(&stack, &node).await;
    let leaves = "CREATE RULE rows_stay AS ON DELETE TO servers DO INSTEAD NOTHING;
                  UPDATE servers SET leaving_since = now()";
    run(&stack.app.db, leaves).await;

    is_used_up(send(&stack, &node.body()).await).await;
    let bound = stack.join_token(json!({ "server_id": "node-1" })).await;
    let again = node.again().token(Some(&bound)).body();
    problem_of(send(&stack, &again).await, StatusCode::SERVICE_UNAVAILABLE).await;
    let keyed = registration("node-1").body();
    let response = send_with_key(&stack, ADMIN_KEY, &keyed).await;
    let (problem, _) = problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(problem.to_string().contains("still leaving"), "{problem}");
    assert!(endnode(&stack, "node-1").await["leaving_since"].is_string());
}

/// The statement of docs/security.md.
#[tokio::test]
async fn an_operator_ends_a_key_of_the_node_role_in_the_database() {
    let stack = Stack::start().await;
    stack.add_key(NODE_KEY, Role::Node).await;
    json_of(
        send_with_key(&stack, NODE_KEY, &registration("node-1").body()).await,
        StatusCode::CREATED,
    )
    .await;

    run(
        &stack.app.db,
        &format!("DELETE FROM api_keys WHERE name = '{:?}-{NODE_KEY}'", Role::Node),
    )
    .await;
    let seconds = Duration::from_secs(10);
    wait::until(seconds, "the key to work no more", async || {
        let response = send_with_key(&stack, NODE_KEY, &registration("node-4").body()).await;
        response.0.status() == StatusCode::UNAUTHORIZED
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn a_token_for_any_node_and_a_key_of_the_node_role_touch_no_node_that_is_there() {
    let stack = Stack::start().await;
    stack.add_key(NODE_KEY, Role::Node).await;
    let node = registration("node-1");
    json_of(send_with_key(&stack, NODE_KEY, &node.body()).await, StatusCode::CREATED).await;
    let before = endnode(&stack, "node-1").await;

    let evil = [
        node.again().with("host", "evil.example"),
        node.again().with("csr", csr()),
        node.again().with("pool", "other"),
        registration("node-1").with("host", "evil.example"),
    ];
    for wanted in evil {
        let response = send_with_key(&stack, NODE_KEY, &wanted.body()).await;
        assert_eq!(problem_of(response, StatusCode::CONFLICT).await.1, ["server_id"]);
        problem_of(
            send_with_key(&stack, ADMIN_KEY, &wanted.body()).await,
            StatusCode::CONFLICT,
        )
        .await;
        let any = stack.join_token(json!({})).await;
        problem_of(
            send(&stack, &wanted.token(Some(&any)).body()).await,
            StatusCode::CONFLICT,
        )
        .await;
    }
    assert_eq!(endnode(&stack, "node-1").await, before);

    json_of(send_with_key(&stack, NODE_KEY, &node.body()).await, StatusCode::CREATED).await;
    let other = registration("node-2").body();
    json_of(send_with_key(&stack, NODE_KEY, &other).await, StatusCode::CREATED).await;
    assert_eq!(registrations(&stack).await, 2);
}

#[tokio::test]
async fn a_token_that_was_made_for_a_node_may_change_its_endpoint_and_its_keys() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let bound = async || stack.join_token(json!({ "server_id": "node-1" })).await;
    let first = bound().await;
    let moved = registration("node-1")
        .with("host", "vpn2.example.org")
        .with("port", 443)
        .token(Some(&first));
    enrolled(&stack, &moved).await;
    let there = endnode(&stack, "node-1").await;
    assert_eq!(
        (&there["host"], &there["port"], &there["listeners"]),
        (&json!("vpn2.example.org"), &json!(443), &json!(["udp:443"])),
        "{there}"
    );

    let back = moved.again().with("port", 1194).token(Some(&bound().await));
    enrolled(&stack, &back).await;
    is_used_up(send(&stack, &moved.body()).await).await;
    assert_eq!(endnode(&stack, "node-1").await["port"], 1194);
    assert_eq!(registrations(&stack).await, 3);
}

/// It names its first listener when it enrols, and the others at its handshakes.
#[tokio::test]
async fn a_node_that_enrols_again_keeps_its_other_listeners_while_the_first_is_the_same() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    assert_eq!(endnode(&stack, "node-1").await["listeners"], json!(["udp:1194"]));
    run(&stack.app.db, "UPDATE servers SET listeners = 'udp:1194,tcp:443'").await;
    let bound = async || stack.join_token(json!({ "server_id": "node-1" })).await;
    for (port, protocol, listeners) in [
        (1194, "udp", json!(["udp:1194", "tcp:443"])),
        (443, "tcp", json!(["tcp:443"])),
    ] {
        let again = registration("node-1")
            .with("port", port)
            .with("protocol", protocol)
            .token(Some(&bound().await));
        enrolled(&stack, &again).await;
        let there = endnode(&stack, "node-1").await;
        assert_eq!(there["listeners"], listeners);
        assert_eq!((&there["port"], &there["protocol"]), (&json!(port), &json!(protocol)));
    }
}

#[tokio::test]
async fn a_node_that_enrols_again_stays_in_its_pool_and_only_asks_for_another() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let bound = async || stack.join_token(json!({ "server_id": "node-1" })).await;
    let asking = registration("node-1").with("pool", "sales").token(Some(&bound().await));

    // The second one is a repetition.
    for _ in 0..2 {
        enrolled(&stack, &asking).await;
        let there = endnode(&stack, "node-1").await;
        assert_eq!(
            (&there["pool"], &there["asked_pool"]),
            (&json!("default"), &json!("sales")),
            "{there}"
        );
        assert_eq!(registrations(&stack).await, 2);
    }
    let response = stack.client().get("/api/pools/sales").admin().send().await;
    problem_of(response, StatusCode::NOT_FOUND).await;

    let content = asking.again().with("pool", "default").token(Some(&bound().await));
    enrolled(&stack, &content).await;
    let there = endnode(&stack, "node-1").await;
    assert_eq!(
        (&there["pool"], there.get("asked_pool")),
        (&json!("default"), None),
        "{there}"
    );
}

#[tokio::test]
async fn one_token_raced_by_many_nodes_enrols_one_of_them() {
    let stack = Stack::start().await;
    let token = stack.join_token(json!({})).await;
    let bodies: Vec<Value> = (1..=8)
        .map(|number| registration(&format!("node-{number}")).token(Some(&token)).body())
        .collect();
    let statuses = futures_util::future::join_all(bodies.iter().map(|body| send(&stack, body))).await;
    let created = statuses
        .iter()
        .filter(|response| response.0.status() == StatusCode::CREATED);
    assert_eq!(created.count(), 1);
    for response in statuses {
        if response.0.status() != StatusCode::CREATED {
            is_used_up(response).await;
        }
    }
    assert_eq!(registrations(&stack).await, 1);
}

#[tokio::test]
async fn one_name_raced_with_many_tokens_is_taken_once() {
    let stack = Stack::start().await;
    let mut bodies = Vec::new();
    for _ in 0..8 {
        let token = stack.join_token(json!({})).await;
        bodies.push(registration("node-1").token(Some(&token)).body());
    }
    let responses = futures_util::future::join_all(bodies.iter().map(|body| send(&stack, body))).await;
    let mut statuses: Vec<u16> = responses.iter().map(|response| response.0.status().as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn the_token_of_a_deregistered_node_brings_nobody_back() {
    let stack = Stack::start().await;
    for wish in [json!({}), json!({ "server_id": "node-1" })] {
        let token = stack.join_token(wish).await;
        let node = registration("node-1").token(Some(&token));
        enrolled(&stack, &node).await;
        let path = "/api/endnodes/node-1/deregister";
        let response = stack.client().post(path).admin().send().await;
        response.assert_status(StatusCode::NO_CONTENT);
        is_used_up(send(&stack, &node.body()).await).await;
        is_used_up(send(&stack, &registration("node-1").token(Some(&token)).body()).await).await;
    }
}

#[tokio::test]
async fn nothing_but_the_key_is_taken_from_a_nodes_certificate_request() {
    let stack = Stack::start().await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut wishes = rcgen::CertificateParams::new(vec!["*.example.org".to_owned()]).expect("parameters");
    wishes.distinguished_name.push(rcgen::DnType::CommonName, "alice");
    wishes.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    wishes.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let request = wishes.serialize_request(&key).expect("a request").pem().expect("PEM");
    let token = stack.join_token(json!({})).await;
    let answer = enrolled(&stack, &registration("node-1").with("csr", request).token(Some(&token))).await;

    let pem = answer["pki"]["certificate"].as_str().expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    let name = format!("CN={}node-1", stack.app.pki.server_name_prefix());
    assert_eq!(certificate.subject().to_string(), name);
    assert!(!certificate.is_ca());
    assert!(certificate.subject_alternative_name().expect("extensions").is_none());
    let usage = certificate.extended_key_usage().expect("extensions").expect("a usage");
    assert!(usage.value.server_auth && !usage.value.client_auth, "{usage:?}");
}

#[tokio::test]
async fn a_bad_certificate_request_costs_neither_token_nor_name() {
    let stack = Stack::start().await;
    let token = stack.join_token(json!({})).await;
    let node = registration("node-1").token(Some(&token));
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let p384 = rcgen::CertificateParams::default().serialize_request(&p384);
    let p384 = p384.expect("a request").pem().expect("PEM");
    let cut = csr().replacen("MI", "", 1);
    let huge = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        "A".repeat(8_000)
    );
    for bad in [p384, cut, huge, "no request".to_owned()] {
        let sent = node.again().with("csr", bad).body();
        assert_eq!(refused_field(send(&stack, &sent).await).await.0, "csr");
    }
    enrolled(&stack, &node).await;
}
