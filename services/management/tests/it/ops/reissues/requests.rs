//! The requests of operators.

use poem::http::StatusCode;
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use vpnmanager_entities::api_key::Role;
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{audited, create_on, ended, fleet};
use crate::database::{connect, number};
use crate::stack::{WithKey as _, json_of, problem_of};

#[tokio::test]
async fn the_operator_starts_it_follows_it_and_stops_it() {
    let stack = fleet(1).await;
    create_on(&stack, "node-1", "alice").await;
    let client = stack.client();
    let path = "/api/endnodes/node-1/reissue";
    let post = async |old: &str| {
        let body = json!({ "old_profiles": old });
        client.post(path).admin().body_json(&body).send().await
    };
    let get = async || json_of(client.get(path).admin().send().await, StatusCode::OK).await;
    problem_of(client.get(path).admin().send().await, StatusCode::NOT_FOUND).await;
    problem_of(client.delete(path).admin().send().await, StatusCode::NOT_FOUND).await;
    // So that it goes on.
    let url = stack.config.database.connection_url();
    let elsewhere = connect(url.expose_secret()).await;
    let other = elsewhere.begin().await.expect("begun");
    other
        .execute_unprepared("SELECT FROM users FOR UPDATE")
        .await
        .expect("locked");

    let begun = json_of(post("keep").await, StatusCode::ACCEPTED).await;

    assert_eq!(begun["server_id"], "node-1");
    assert_eq!(begun["old_profiles"], "keep");
    for (field, expected) in [("total", 1), ("done", 0), ("unchanged", 0), ("failed", 0)] {
        assert_eq!(begun[field], expected, "{field}");
    }
    assert_eq!((&begun["failed_users"], &begun["stopped"]), (&json!([]), &json!(false)));
    assert_eq!(begun.get("ended_at"), None);
    assert_eq!(get().await, begun);
    let again = json_of(post("keep").await, StatusCode::ACCEPTED).await;
    assert_eq!(again, begun);
    let (problem, fields) = problem_of(post("revoke").await, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["old_profiles"], "{problem}");
    let by_time = async |before: &str| {
        let body = json!({ "old_profiles": "keep", "made_before": before });
        client.post(path).admin().body_json(&body).send().await
    };
    let (problem, fields) = problem_of(by_time("2020-01-01T00:00:00Z").await, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["made_before"], "{problem}");
    assert_eq!(get().await, begun);
    let stopped = json_of(client.delete(path).admin().send().await, StatusCode::OK).await;
    assert_eq!((&stopped["done"], &stopped["stopped"]), (&json!(0), &json!(true)));
    assert!(stopped["ended_at"].is_string(), "{stopped}");

    other.rollback().await.expect("ended");
    json_of(post("revoke").await, StatusCode::ACCEPTED).await;
    let ended = ended(&stack, "node-1").await;
    assert_eq!(ended.done, 1);
    let shown = get().await;
    assert_eq!((&shown["done"], &shown["stopped"]), (&json!(1), &json!(false)));
    assert!(shown["ended_at"].is_string(), "{shown}");
    let by_a_time = json_of(by_time("2020-01-01T00:00:00Z").await, StatusCode::ACCEPTED).await;
    assert_eq!(
        (&by_a_time["made_before"], &by_a_time["total"]),
        (&json!("2020-01-01T00:00:00Z"), &json!(0))
    );
    assert_eq!(get().await["made_before"], "2020-01-01T00:00:00Z");
    let begun = audited(&stack, AuditAction::NodeReissueStarted).await;
    let times: Vec<_> = begun
        .iter()
        .map(|row| row.after.as_ref().map(|after| after["made_before"].clone()))
        .collect();
    assert_eq!(
        times,
        [
            Some(json!(null)),
            Some(json!(null)),
            Some(json!("2020-01-01T00:00:00Z"))
        ]
    );
    let (problem, fields) = problem_of(by_time("2999-01-01T00:00:00Z").await, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["made_before"], "{problem}");
}

#[tokio::test]
async fn bad_requests_begin_nothing() {
    let stack = fleet(1).await;
    create_on(&stack, "node-1", "alice").await;
    stack.add_key("node-key", Role::Node).await;
    let client = stack.client();
    let post = async |path: &str, body: Value| client.post(path).admin().body_json(&body).send().await;
    let path = "/api/endnodes/node-1/reissue";
    for (body, field) in [
        (json!({ "old_profiles": "perhaps" }), "old_profiles"),
        (json!({ "old_profile": "keep" }), "old_profile"),
        (json!({ "made_before": "soon" }), "made_before"),
    ] {
        let (problem, fields) = problem_of(post(path, body).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{problem}");
    }
    let (_, fields) = problem_of(
        post("/api/endnodes/a.b/reissue", json!({})).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert_eq!(fields, ["server_id"]);
    let nowhere = "/api/endnodes/nowhere/reissue";
    problem_of(post(nowhere, json!({})).await, StatusCode::NOT_FOUND).await;
    problem_of(client.get(nowhere).admin().send().await, StatusCode::NOT_FOUND).await;
    problem_of(client.delete(nowhere).admin().send().await, StatusCode::NOT_FOUND).await;
    let of_a_node = client.post(path).key("node-key").body_json(&json!({}));
    problem_of(of_a_node.send().await, StatusCode::FORBIDDEN).await;
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM node_reissues").await, 0);
    assert_eq!(
        number(&stack.app.db, "SELECT count(*) FROM node_reissue_users").await,
        0
    );
}
