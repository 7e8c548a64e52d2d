//! A network that contradicts itself, or would lead the tunnel into itself, is refused with the entry that is wrong.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{change, create, get, send};
use crate::{
    ops::audited,
    stack::{Stack, WithKey as _, json_of, problem_of, registration},
};

/// What is said of entries that have the form of one.
const HAS_FORM: [&str; 7] = [
    "has bits beyond its length: 192.0.2.0/24 is",
    "write it as IPv4",
    "set redirect_gateway",
    "loopback",
    "clients can reach",
    "not an address",
    "take at most 1280 bytes",
];

#[tokio::test]
async fn each_bad_entry_of_a_network_is_named() {
    let stack = Stack::start().await;
    let many = |most: u8| -> Value { (0..=most).map(|number| format!("10.{number}.0.0/16")).collect() };
    let addresses: Value = (1..=7).map(|number| format!("10.0.0.{number}")).collect();
    let cases = [
        (json!({ "routes": ["10.0.0.0"] }), "routes.0", "is no prefix such as"),
        (json!({ "routes": ["10.0.0.0/8 "] }), "routes.0", "is no prefix such as"),
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
        (json!({ "routes": many(64) }), "routes", "64 items at most, not 65"),
        (json!({ "routes": [5] }), "routes.0", "must be a string"),
        (json!({ "routes": "10.0.0.0/8" }), "routes", "must be an array"),
        (
            json!({ "dns_servers": ["127.0.0.53"] }),
            "dns_servers.0",
            "clients can reach",
        ),
        (json!({ "dns_servers": addresses }), "dns_servers", "6 items at most"),
        (
            json!({ "dns_servers": ["10.0.0.53", "10.0.0.53"] }),
            "dns_servers.1",
            "10.0.0.53 is there twice",
        ),
        (json!({ "search_domains": ["a b"] }), "search_domains.0", "a DNS name"),
        (
            json!({ "search_domains": ["10.0.0.1"] }),
            "search_domains.0",
            "not an address",
        ),
        (
            json!({ "search_domains": ["corp.example", "CORP.example"] }),
            "search_domains.1",
            "corp.example is there twice",
        ),
        (json!({ "nat": "dnat" }), "nat", "masquerade, none"),
        (json!({ "max_segment": 535 }), "max_segment", "from 536 to 8960"),
        (json!({ "mtu": 1279 }), "mtu", "from 1280 to 1500"),
        (json!({ "mtu": 1501 }), "mtu", "from 1280 to 1500"),
        (json!({ "mtu": "1320" }), "mtu", "must be"),
        (
            json!({ "mtu": 1320, "max_segment": 1281 }),
            "max_segment",
            "take at most 1280 bytes",
        ),
        (
            json!({ "redirect_gateway": "yes" }),
            "redirect_gateway",
            "must be a boolean",
        ),
        (json!({ "client_to_client": null }), "client_to_client", "not null"),
        (json!({ "route": [] }), "route", "did you mean `routes`?"),
    ];
    for (network, field, detail) in cases {
        let answers = [
            create(&stack, &json!({ "name": "sales", "network": network })).await,
            change(&stack, "default", &json!({ "network": network })).await,
        ];
        for answer in answers {
            // What has the form of the description is a conflict.
            let has_form = detail.contains("overlaps") || detail.contains("twice") || HAS_FORM.contains(&detail);
            let status = if has_form {
                StatusCode::CONFLICT
            } else {
                StatusCode::BAD_REQUEST
            };
            let (problem, fields) = problem_of(answer, status).await;
            assert_eq!(fields, [format!("network.{field}")], "{network}: {problem}");
            let said = problem["errors"][0]["detail"].as_str().expect("a detail");
            assert!(said.contains(detail), "{network}: {said}");
        }
    }
    let listed = get(&stack, "/api/pools").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["items"][0]["revision"], 1);
    assert!(audited(&stack, AuditAction::PoolChanged).await.is_empty());
}

#[tokio::test]
async fn all_wrong_entries_are_told_at_once() {
    let stack = Stack::start().await;
    let network = json!({ "routes": ["10.0.0.1/8", "fd00::/8", "::/0"], "dns_servers": ["::1"] });
    let answer = change(&stack, "default", &json!({ "network": network })).await;
    let (_, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    assert_eq!(
        fields,
        ["network.routes.0", "network.routes.2", "network.dns_servers.0"]
    );
}

#[tokio::test]
async fn a_bad_name_or_number_of_a_pool_is_named() {
    let stack = Stack::start().await;
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": "a b" }), "name"),
        (json!({ "name": "x".repeat(64) }), "name"),
        (json!({ "name": "sales", "replicas": 0 }), "replicas"),
        (json!({ "name": "sales", "replicas": 17 }), "replicas"),
        (json!({ "name": "sales", "replicas": "two" }), "replicas"),
        // Nothing is there that it could clear.
        (json!({ "name": "sales", "network": null }), "network"),
        (json!({ "name": "sales", "revision": 7 }), "revision"),
    ] {
        let (problem, fields) = problem_of(create(&stack, &body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{body}: {problem}");
    }
    for (body, field) in [
        (json!({ "replicas": 17 }), "replicas"),
        (json!({ "name": "sales" }), "name"),
    ] {
        let answer = change(&stack, "default", &body).await;
        assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, [field], "{body}");
    }
    let answer = stack.client().get("/api/pools/a.b").admin().send().await;
    assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, ["name"]);
}

#[tokio::test]
async fn a_route_that_leads_the_way_to_a_node_or_to_the_bus_into_the_tunnel_is_refused() {
    let stack = Stack::start_with(&[("BUS_PUBLIC_URLS", "tls://203.0.113.9:4222")]).await;
    let body = registration("node-1").with("host", "203.0.113.7").body();
    send(&stack, Method::POST, "/api/endnodes/register", &body)
        .await
        .assert_status(StatusCode::CREATED);
    let with = |routes: Value| json!({ "network": { "routes": routes } });

    let answer = change(&stack, "default", &with(json!(["10.0.0.0/8", "203.0.113.0/24"]))).await;
    let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["network.routes.1"]);
    assert_eq!(
        problem["errors"][0]["detail"],
        "the way to node-1 (203.0.113.7) would lead into the tunnel: split the route so that it leaves it out"
    );

    let mut of_sales = with(json!(["203.0.113.8/29"]));
    of_sales["name"] = json!("sales");
    let answers = [
        change(&stack, "default", &with(json!(["203.0.113.8/29"]))).await,
        create(&stack, &of_sales).await,
    ];
    for answer in answers {
        let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
        assert_eq!(fields, ["network.routes.0"]);
        let said = problem["errors"][0]["detail"].as_str().expect("a detail");
        assert!(said.starts_with("the way to the bus (203.0.113.9) would"), "{said}");
    }

    // The node is in another pool, and routes beside redirect_gateway are allowed.
    let network = json!({ "routes": ["203.0.113.0/29"], "redirect_gateway": true });
    let answer = create(&stack, &json!({ "name": "sales", "network": network })).await;
    json_of(answer, StatusCode::CREATED).await;
}
