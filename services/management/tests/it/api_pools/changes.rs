//! Pools are created, read, listed, changed and deleted.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{change, create, delete, get, send};
use crate::{
    ops::audited,
    stack::{Stack, WithKey as _, json_of, problem_of},
};

#[tokio::test]
async fn a_pool_is_created_read_changed_and_deleted() {
    let stack = Stack::start().await;
    let body = json!({
        "name": "sales",
        "network": {
            "routes": ["10.20.0.0/16", "2001:db8:20::/48"],
            "dns_servers": ["10.20.0.53"],
            "search_domains": ["Corp.example"],
            "max_segment": 1280,
            "mtu": 1320,
        },
        "replicas": 2,
    });
    let response = create(&stack, &body).await;
    response.assert_header("location", "/api/pools/sales");
    let made = json_of(response, StatusCode::CREATED).await;
    let network = json!({
        "routes": ["10.20.0.0/16", "2001:db8:20::/48"],
        "redirect_gateway": false,
        "dns_servers": ["10.20.0.53"],
        "search_domains": ["corp.example"],
        "nat": "masquerade",
        "client_to_client": false,
        "max_segment": 1280,
        "mtu": 1320,
    });
    assert_eq!(made["network"], network);
    let facts = |pool: &Value| ["revision", "replicas", "nodes", "users"].map(|name| pool[name].clone());
    assert_eq!(facts(&made), [1, 2, 0, 0].map(Value::from));
    assert_eq!(get(&stack, "/api/pools/sales").await, made);

    // The network is replaced as a whole; the other fields stay.
    let everything = json!({ "network": { "redirect_gateway": true, "nat": "none", "client_to_client": true } });
    let changed = json_of(change(&stack, "sales", &everything).await, StatusCode::OK).await;
    assert_eq!(facts(&changed), [2, 2, 0, 0].map(Value::from));
    let network = &changed["network"];
    assert_eq!(
        (&network["routes"], &network["redirect_gateway"], &network["nat"]),
        (&json!([]), &json!(true), &json!("none"))
    );
    assert_eq!((network.get("max_segment"), network.get("mtu")), (None, None));
    let cleared = json!({ "network": null, "replicas": null });
    let cleared = json_of(change(&stack, "sales", &cleared).await, StatusCode::OK).await;
    assert_eq!(
        (&cleared["revision"], cleared.get("network"), cleared.get("replicas")),
        (&json!(3), None, None)
    );

    delete(&stack, "sales").await.assert_status(StatusCode::NO_CONTENT);
    let listed = get(&stack, "/api/pools").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");

    let created = audited(&stack, AuditAction::PoolCreated).await;
    assert_eq!((created.len(), created[0].actor.as_str()), (1, "key:admin"));
    let changes = audited(&stack, AuditAction::PoolChanged).await;
    let revisions: Vec<(Value, Value)> = changes
        .iter()
        .map(|row| {
            let revision = |state: &Option<Value>| state.as_ref().expect("a state")["revision"].clone();
            (revision(&row.before), revision(&row.after))
        })
        .collect();
    assert_eq!(revisions, [(json!(1), json!(2)), (json!(2), json!(3))]);
    let deleted = audited(&stack, AuditAction::PoolDeleted).await;
    let before = deleted[0].before.as_ref().expect("a state");
    assert_eq!((&before["pool"], &before["network"]), (&json!("sales"), &Value::Null));
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_no_change() {
    let stack = Stack::start().await;
    let network = json!({ "network": { "routes": ["10.20.0.0/16"] }, "replicas": 2 });
    for revision in [2, 2, 2] {
        let pool = json_of(change(&stack, "default", &network).await, StatusCode::OK).await;
        assert_eq!(pool["revision"], revision);
    }
    let pool = json_of(change(&stack, "default", &json!({})).await, StatusCode::OK).await;
    assert_eq!(pool["revision"], 2);
    assert_eq!(audited(&stack, AuditAction::PoolChanged).await.len(), 1);
}

#[tokio::test]
async fn pools_are_listed_in_the_order_of_their_names() {
    let stack = Stack::start().await;
    for name in ["stores", "Zeta", "alpha"] {
        json_of(create(&stack, &json!({ "name": name })).await, StatusCode::CREATED).await;
    }
    let first = get(&stack, "/api/pools?limit=3").await;
    let cursor = first["next_cursor"].as_str().expect("more").to_owned();
    let second = get(&stack, &format!("/api/pools?limit=3&cursor={cursor}")).await;
    let names: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().expect("items"))
        .map(|pool| &pool["name"])
        .collect();
    assert_eq!(names, ["Zeta", "alpha", "default", "stores"]);
    assert!(second.get("next_cursor").is_none());
}

#[tokio::test]
async fn an_unknown_pool_is_not_found_and_a_known_one_not_made_twice() {
    let stack = Stack::start().await;
    let unknown = [
        stack.client().get("/api/pools/nothing").admin().send().await,
        change(&stack, "nothing", &json!({})).await,
        delete(&stack, "nothing").await,
    ];
    for response in unknown {
        let (problem, _) = problem_of(response, StatusCode::NOT_FOUND).await;
        assert_eq!(problem["detail"], "there is no such pool");
    }
    let taken = send(&stack, Method::POST, "/api/pools", &json!({ "name": "default" })).await;
    assert_eq!(problem_of(taken, StatusCode::CONFLICT).await.1, ["name"]);
}
