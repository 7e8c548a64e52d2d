//! Restarting OpenVPN on all servers of a pool, over HTTP.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{get, send};
use crate::{
    ops::nodes::serves,
    stack::{Stack, WithKey as _, json_of, problem_of},
};

const PATH: &str = "/api/pools/default/rollout";

async fn start(stack: &Stack, body: &Value, status: StatusCode) -> Value {
    let response = send(stack, Method::POST, PATH, body).await;
    match status {
        StatusCode::ACCEPTED => json_of(response, status).await,
        refused => problem_of(response, refused).await.0,
    }
}

#[tokio::test]
async fn it_is_begun_read_and_stopped() {
    let stack = Stack::start().await;
    let never = stack.client().get(PATH).admin().send().await;
    problem_of(never, StatusCode::NOT_FOUND).await;
    serves(&stack, "node-1").await;
    serves(&stack, "node-2").await;

    let begun = start(&stack, &json!({ "drain_for": "30s" }), StatusCode::ACCEPTED).await;

    assert_eq!(
        [
            &begun["pool"],
            &begun["state"],
            &begun["drain"],
            &begun["drain_for_seconds"]
        ],
        [&json!("default"), &json!("running"), &json!(true), &json!(30)]
    );
    assert_eq!(begun["asked_by"], "key:admin");
    assert!(begun.get("stopped_by").is_none(), "{begun}");
    let nodes: Vec<&Value> = begun["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| &node["server_id"])
        .collect();
    assert_eq!(nodes, ["node-1", "node-2"]);
    let refused = start(&stack, &json!({}), StatusCode::CONFLICT).await;
    assert!(
        refused["detail"].as_str().expect("a detail").contains("is running"),
        "{refused}"
    );
    assert_eq!(get(&stack, PATH).await["id"], begun["id"]);

    let stopped = stack.client().delete(PATH).admin().send().await;
    let stopped = json_of(stopped, StatusCode::OK).await;
    assert_eq!([&stopped["state"], &stopped["stopped_by"]], ["stopped", "key:admin"]);
    assert!(stopped["ended_at"].is_string());
    let again = stack.client().delete(PATH).admin().send().await;
    problem_of(again, StatusCode::NOT_FOUND).await;
    for id in ["node-1", "node-2"] {
        assert_eq!(get(&stack, &format!("/api/endnodes/{id}")).await["draining"], false);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_field() {
    let stack = Stack::start().await;
    let nobody = start(&stack, &json!({}), StatusCode::CONFLICT).await;
    assert!(
        nobody["detail"]
            .as_str()
            .expect("a detail")
            .contains("no server of the pool serves"),
        "{nobody}"
    );
    serves(&stack, "node-1").await;
    let response = send(&stack, Method::POST, PATH, &json!({})).await;
    let (problem, fields) = problem_of(response, StatusCode::CONFLICT).await;
    assert_eq!(fields, ["drain"], "{problem}");
    for body in [
        json!({ "drain_for": "9s" }),
        json!({ "drain_for": "25h" }),
        json!({ "drain_for": "soon" }),
        json!({ "drain_for": 600 }),
    ] {
        let response = send(&stack, Method::POST, PATH, &body).await;
        let (problem, fields) = problem_of(response, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["drain_for"], "{body}: {problem}");
    }
    let unknown = send(&stack, Method::POST, "/api/pools/nowhere/rollout", &json!({})).await;
    problem_of(unknown, StatusCode::NOT_FOUND).await;
}
