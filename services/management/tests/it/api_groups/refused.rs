//! What contradicts itself, or has not the form of the description, is refused with the entry that is wrong.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{change, create, get, make, send};
use crate::{
    ops::audited,
    stack::{Stack, WithKey as _, json_of, problem_of, registration},
};

/// What is wrong with some rules: the rules, the field, a part of the detail.
type Case = (Value, &'static str, &'static str);

/// Rules that have not the form of the description.
fn malformed() -> Vec<Case> {
    let many = |most: u8| -> Value { (0..=most).map(|number| format!("10.{number}.0.0/16")).collect() };
    let ports: Value = (1..=17).map(|port| port.to_string()).collect();
    vec![
        (json!({ "routes": ["10.0.0.0"] }), "routes.0", "is no prefix such as"),
        (json!({ "routes": many(32) }), "routes", "32 items at most, not 33"),
        (json!({ "routes": [5] }), "routes.0", "must be a string"),
        (
            json!({ "reach": [{ "to": "10.0.0.0" }] }),
            "reach.0.to",
            "is no prefix such as",
        ),
        (
            json!({ "reach": vec![json!({}); 33] }),
            "reach",
            "32 items at most, not 33",
        ),
        (json!({ "reach": {} }), "reach", "must be an array"),
        (json!({ "reach": ["10.0.0.0/8"] }), "reach.0", "must be an object"),
        (
            json!({ "reach": [{ "protocol": "sctp" }] }),
            "reach.0.protocol",
            "tcp, udp, icmp",
        ),
        (
            json!({ "reach": [{}, { "protocol": "tcp", "ports": ["443", "http"] }] }),
            "reach.1.ports.1",
            "a port, such as 443",
        ),
        (
            json!({ "reach": [{ "protocol": "tcp", "ports": [443] }] }),
            "reach.0.ports.0",
            "must be a string",
        ),
        (
            json!({ "reach": [{ "protocol": "tcp", "ports": ports }] }),
            "reach.0.ports",
            "16 items at most, not 17",
        ),
        (
            json!({ "reach": [{ "port": "443" }] }),
            "reach.0.port",
            "did you mean `ports`?",
        ),
        (json!({ "speed": { "up": 0 } }), "speed.up", "from 64 to 10000000"),
        (json!({ "speed": { "down": 63 } }), "speed.down", "from 64 to 10000000"),
        (json!({ "speed": { "down": -1 } }), "speed.down", "from 64 to 10000000"),
        (
            json!({ "speed": { "up": 9_223_372_036_854_775_808_u64 } }),
            "speed.up",
            "from 64 to 10000000",
        ),
        (json!({ "speed": { "up": "fast" } }), "speed.up", "must be an integer"),
        (json!({ "devices": 0 }), "devices", "from 1 to 16"),
        (json!({ "devices": 17 }), "devices", "from 1 to 16"),
        (json!({ "sessions": -1 }), "sessions", "from 1 to 16"),
        (
            json!({ "sessions": 9_223_372_036_854_775_808_u64 }),
            "sessions",
            "from 1 to 16",
        ),
        (
            json!({ "session_excess": "all_end" }),
            "session_excess",
            "oldest_ends, newest_ends",
        ),
        (json!({ "lifetime": "59s" }), "lifetime", "from 60s to 9999days"),
        (json!({ "lifetime": "1h 30m" }), "lifetime", "a whole number"),
        (json!({ "lifetime": 3600 }), "lifetime", "must be a string"),
        (json!({ "pool": "a b" }), "pool", "must be 1 to 63 characters"),
        (json!({ "quota": 5 }), "quota", ""),
    ]
}

/// Rules that have it, and contradict themselves or the fleet.
fn contradictory() -> Vec<Case> {
    vec![
        (
            json!({ "routes": ["10.0.0.0/8", "192.0.2.1/24"] }),
            "routes.1",
            "has bits beyond its length: 192.0.2.0/24 is",
        ),
        (
            json!({ "routes": ["::ffff:10.0.0.0/104"] }),
            "routes.0",
            "write it as IPv4",
        ),
        (json!({ "routes": ["0.0.0.0/0"] }), "routes.0", "set redirect_gateway"),
        (json!({ "routes": ["127.0.0.0/8"] }), "routes.0", "loopback"),
        (
            json!({ "routes": ["10.0.0.0/8", "192.0.2.0/24", "10.1.0.0/16"] }),
            "routes.2",
            "10.1.0.0/16 overlaps 10.0.0.0/8",
        ),
        (
            json!({ "reach": [{ "to": "10.0.0.1/8" }] }),
            "reach.0.to",
            "10.0.0.0/8 is the prefix",
        ),
        (json!({ "reach": [{ "to": "::/0" }] }), "reach.0.to", "leave `to` out"),
        (
            json!({ "reach": [{ "to": "::ffff:10.0.0.0/104" }] }),
            "reach.0.to",
            "write it as IPv4",
        ),
        (
            json!({ "reach": [{ "to": "10.0.0.0/8" }, {}, { "to": "10.0.0.0/8" }] }),
            "reach.2",
            "says the same as entry 0",
        ),
        (
            json!({ "reach": [{ "ports": ["443"] }] }),
            "reach.0.ports",
            "need the protocol tcp or udp",
        ),
        (
            json!({ "reach": [{ "protocol": "icmp", "ports": ["443"] }] }),
            "reach.0.ports",
            "need the protocol tcp or udp",
        ),
        (
            json!({ "reach": [{ "protocol": "udp", "ports": ["53", "65536"] }] }),
            "reach.0.ports.1",
            "a port, such as 443",
        ),
        (
            json!({ "reach": [{ "protocol": "udp", "ports": ["20-10"] }] }),
            "reach.0.ports.0",
            "the smaller first",
        ),
        (
            json!({ "reach": [{ "protocol": "udp", "ports": ["50-60", "53"] }] }),
            "reach.0.ports.1",
            "53 overlaps 50-60",
        ),
        (json!({ "pool": "nowhere" }), "pool", "there is no pool nowhere"),
    ]
}

async fn assert_refused(stack: &Stack, cases: Vec<Case>, status: StatusCode) {
    for (rules, field, detail) in cases {
        let mut new = rules.clone();
        new["name"] = json!("sales");
        let answers = [create(stack, &new).await, change(stack, "default", &rules).await];
        for answer in answers {
            let (problem, fields) = problem_of(answer, status).await;
            assert_eq!(fields, [field], "{rules}: {problem}");
            let said = problem["errors"][0]["detail"].as_str().expect("a detail");
            assert!(said.contains(detail), "{rules}: {said}");
        }
    }
    let listed = get(stack, "/api/groups").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["items"][0]["revision"], 1);
    assert!(audited(stack, AuditAction::GroupChanged).await.is_empty());
}

#[tokio::test]
async fn each_value_without_the_form_of_the_description_is_named() {
    let stack = Stack::start().await;
    assert_refused(&stack, malformed(), StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn each_value_that_contradicts_something_is_named() {
    let stack = Stack::start().await;
    assert_refused(&stack, contradictory(), StatusCode::CONFLICT).await;
}

#[tokio::test]
async fn all_wrong_entries_are_told_at_once() {
    let stack = Stack::start().await;
    let rules = json!({
        "routes": ["10.0.0.1/8", "fd00::/8", "::/0"],
        "reach": [{ "to": "::1/128" }, { "protocol": "tcp", "ports": ["443", "99999"] }],
    });
    let answer = change(&stack, "default", &rules).await;
    let (_, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["reach.0.to", "reach.1.ports.1", "routes.0", "routes.2"]);
}

#[tokio::test]
async fn a_bad_name_of_a_group_is_named() {
    let stack = Stack::start().await;
    for name in ["Sales", "a b", "-a", "a.b", "", "../x", &"x".repeat(33)] {
        let answer = create(&stack, &json!({ "name": name })).await;
        assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, ["name"], "{name}");
    }
    let answer = create(&stack, &json!({})).await;
    assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, ["name"]);
    let answer = create(&stack, &json!({ "name": "own-0123456789abcdef0123" })).await;
    let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["name"], "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
    assert!(
        detail.starts_with("such a name stands for own values of users"),
        "{detail}"
    );
    // The name stays.
    let answer = change(&stack, "default", &json!({ "name": "sales" })).await;
    assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, ["name"]);
    let answer = stack.client().get("/api/groups/Sales").admin().send().await;
    assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, ["group"]);
}

#[tokio::test]
async fn a_route_that_leads_the_way_to_any_node_or_to_the_bus_into_the_tunnel_is_refused() {
    let stack = Stack::start_with(&[("BUS_PUBLIC_URLS", "tls://203.0.113.9:4222")]).await;
    // Members may be in any pool.
    let body = registration("node-1")
        .with("host", "203.0.113.7")
        .with("pool", "elsewhere")
        .body();
    send(&stack, Method::POST, "/api/endnodes/register", &body)
        .await
        .assert_status(StatusCode::CREATED);

    for (route, whose) in [
        (
            "203.0.113.0/29",
            "the way to node-1 (203.0.113.7) would lead into the tunnel",
        ),
        (
            "203.0.113.8/29",
            "the way to the bus (203.0.113.9) would lead into the tunnel",
        ),
    ] {
        let routes = json!({ "routes": ["10.0.0.0/8", route] });
        let mut new = routes.clone();
        new["name"] = json!("sales");
        for answer in [create(&stack, &new).await, change(&stack, "default", &routes).await] {
            let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
            assert_eq!(fields, ["routes.1"]);
            let said = problem["errors"][0]["detail"].as_str().expect("a detail");
            assert!(said.starts_with(whose), "{said}");
        }
    }
    // What members may reach leads nothing anywhere.
    make(&stack, "sales", json!({ "reach": [{ "to": "203.0.113.0/24" }] })).await;
}

/// The longest rules of a group, about 10 kB.
pub(crate) fn longest() -> Value {
    let ports: Value = (0..16)
        .map(|number| format!("{}-{}", 10_000 + 100 * number, 10_050 + 100 * number))
        .collect();
    let reach: Value = (1..=32)
        .map(|number| {
            let to = format!("2001:db8:1111:2222:3333:4444:5555:{number:x}/128");
            json!({ "to": to, "protocol": "tcp", "ports": ports })
        })
        .collect();
    json!({ "reach": reach })
}

#[tokio::test]
async fn rules_that_are_too_long_for_a_node_all_together_are_refused() {
    let stack = Stack::start().await;
    let mut made = 0;
    let refused = loop {
        let mut body = longest();
        body["name"] = json!(format!("group-{made}"));
        let answer = create(&stack, &body).await;
        if answer.0.status() != StatusCode::CREATED {
            break answer;
        }
        made += 1;
    };
    let (problem, _) = problem_of(refused, StatusCode::CONFLICT).await;
    assert_eq!(
        problem["detail"],
        "the rules of all groups together are too long for the nodes, which take 160 KiB as JSON: leave some entries out, here or in \
         another group"
    );
    assert!((10..=20).contains(&made), "{made}");
    let listed = get(&stack, "/api/groups").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(made + 1));
    let answer = change(&stack, "default", &longest()).await;
    problem_of(answer, StatusCode::CONFLICT).await;

    // One that says less makes room.
    json_of(change(&stack, "group-0", &json!({ "reach": [] })).await, StatusCode::OK).await;
    json_of(change(&stack, "default", &longest()).await, StatusCode::OK).await;
}
