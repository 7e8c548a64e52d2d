//! How many devices a user is allowed by its own limit.

use poem::http::{Method, StatusCode};
use poem::test::TestResponse;
use serde_json::json;

use super::{changed, create, fleet, send};
use crate::stack::{Stack, json_of, problem_of};

async fn add(stack: &Stack, device: &str) -> TestResponse {
    let path = "/api/users/alice/devices";
    send(stack, Method::POST, path, &json!({ "name": device })).await
}

async fn is_refused(answer: TestResponse, begin: &str) {
    let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.starts_with(begin) && fields.is_empty(), "{problem}");
}

#[tokio::test]
async fn an_own_limit_comes_before_that_of_the_group_and_takes_no_device_from_anybody() {
    let stack = fleet().await;
    let body = json!({ "username": "alice", "group": "sales", "limits": { "devices": 1 } });
    json_of(create(&stack, &body).await, StatusCode::CREATED).await;
    is_refused(
        add(&stack, "laptop").await,
        "the most devices that the user is allowed is 1, and it has 1: ",
    )
    .await;

    // More than the group allows.
    changed(&stack, json!({ "devices": 4 })).await;
    for device in ["laptop", "phone", "tablet"] {
        json_of(add(&stack, device).await, StatusCode::CREATED).await;
    }
    is_refused(
        add(&stack, "router").await,
        "the most devices that the user is allowed is 4, and it has 4: ",
    )
    .await;

    let lowered = changed(&stack, json!({ "devices": 2 })).await;
    assert_eq!(lowered["limits"], json!({ "devices": 2 }));
    is_refused(
        add(&stack, "router").await,
        "the most devices that the user is allowed is 2, and it has 4: ",
    )
    .await;
    let reissue = "/api/users/alice/devices/laptop/reissue";
    json_of(send(&stack, Method::POST, reissue, &json!({})).await, StatusCode::OK).await;

    changed(&stack, json!({ "devices": null })).await;
    is_refused(
        add(&stack, "router").await,
        "the most devices that the group sales allows is 3, and the user has 4: ",
    )
    .await;
}

#[tokio::test]
async fn to_bring_back_the_device_default_is_to_create_it() {
    let stack = fleet().await;
    json_of(
        create(&stack, &json!({ "username": "alice" })).await,
        StatusCode::CREATED,
    )
    .await;
    json_of(add(&stack, "laptop").await, StatusCode::CREATED).await;
    let path = "/api/users/alice/devices/default";
    json_of(send(&stack, Method::DELETE, path, &json!({})).await, StatusCode::OK).await;
    changed(&stack, json!({ "devices": 1 })).await;
    is_refused(
        send(&stack, Method::POST, "/api/users/alice/reissue", &json!({})).await,
        "the most devices that the user is allowed is 1, and it has 1: ",
    )
    .await;
}
