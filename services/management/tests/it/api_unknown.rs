//! What no operation knows is refused by every operation, and changes nothing.

use poem::http::{Method, StatusCode};
use serde_json::json;
use vpnmanager_management::api;
use vpnmanager_openapi::spec::trials;

use crate::stack::{Stack, WithKey as _, json_of, problem_of};

#[tokio::test]
async fn every_operation_refuses_a_parameter_and_a_member_that_it_does_not_know() {
    let stack = Stack::start().await;
    let client = stack.client();
    let trials = trials(&api::spec());
    assert!(trials.len() > 30, "{}", trials.len());
    for trial in trials {
        let method: Method = trial.method.parse().expect("a method");
        let request = client.request(method, &trial.path).admin();
        let request = match &trial.body {
            Some(body) => request.body_json(body),
            None => request,
        };
        let (problem, fields) = problem_of(request.send().await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [trial.field], "{trial:?}: {problem}");
    }
}

/// Each of these once did something else than its caller meant.
#[tokio::test]
async fn what_was_meant_otherwise_is_refused_with_what_was_meant() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let cases = [
        (
            "POST",
            "/api/users",
            Some(json!({"username": "contractor", "expire_at": "2999-01-01T00:00:00Z"})),
            "expire_at",
            Some("expires_at"),
        ),
        (
            "PATCH",
            "/api/users/alice",
            Some(json!({"expires": null})),
            "expires",
            Some("expires_at"),
        ),
        (
            "POST",
            "/api/join-tokens",
            Some(json!({"serverid": "node-1"})),
            "serverid",
            Some("server_id"),
        ),
        ("GET", "/api/users?expired=true", None, "expired", None),
        ("GET", "/api/users?active=true&active=false", None, "active", None),
        (
            "POST",
            "/api/users",
            Some(json!({"username": "contractor", "active": null})),
            "active",
            None,
        ),
        (
            "POST",
            "/api/join-tokens",
            Some(json!({"server_id": null})),
            "server_id",
            None,
        ),
        (
            "POST",
            "/api/endnodes/node-1/disable",
            Some(json!({"credentials": "revoke"})),
            "body",
            None,
        ),
    ];
    for (method, path, body, field, meant) in cases {
        let method: Method = method.parse().expect("a method");
        let client = stack.client();
        let request = client.request(method, path).admin();
        let request = match &body {
            Some(body) => request.body_json(body),
            None => request,
        };
        let (problem, fields) = problem_of(request.send().await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}: {problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        if let Some(meant) = meant {
            assert!(detail.contains(&format!("did you mean `{meant}`?")), "{detail}");
        }
    }
    let users = stack.client().get("/api/users").admin().send().await;
    let users = json_of(users, StatusCode::OK).await;
    assert_eq!(users["items"].as_array().map(Vec::len), Some(1), "{users}");
}
