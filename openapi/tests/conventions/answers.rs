//! What every answer has.

use poem::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::service::{client, problem};

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_with_allow() {
    problem(client().get("/nowhere").send().await, StatusCode::NOT_FOUND).await;
    for (method, path, allow) in [
        (Method::DELETE, "/users", "GET, HEAD, POST"),
        (Method::POST, "/users/alice", "GET, HEAD"),
        (Method::PUT, "/docs", "GET, HEAD"),
    ] {
        let response = client().request(method, path).send().await;
        response.assert_header("allow", allow);
        problem(response, StatusCode::METHOD_NOT_ALLOWED).await;
    }
    client()
        .request(Method::HEAD, "/users")
        .send()
        .await
        .assert_status_is_ok();
}

#[tokio::test]
async fn our_own_mistakes_tell_nothing() {
    for path in ["/broken/error", "/broken/panic"] {
        let (problem, _) = problem(client().get(path).send().await, StatusCode::INTERNAL_SERVER_ERROR).await;
        assert_eq!(
            problem,
            json!({"type": "about:blank", "title": "Internal Server Error", "status": 500})
        );
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_any_other_replaced() {
    client()
        .get("/broken/id")
        .header("x-request-id", "abc-1")
        .send()
        .await
        .assert_json("abc-1")
        .await;
    let response = client()
        .get("/broken/id")
        .header("x-request-id", "not sane")
        .send()
        .await;
    let id = response.0.header("x-request-id").unwrap().to_owned();
    assert_eq!(id.len(), 32);
    response.assert_json(id).await;
}

#[tokio::test]
async fn pages_link_to_the_next_until_the_last() {
    let mut path = "/users?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let response = client().get(&path).send().await;
        let link = response.0.header("link").map(str::to_owned);
        let body: Value = response.0.into_body().into_json().await.unwrap();
        assert!(body.get("items").is_some(), "{path}: {body}");
        seen.extend(
            body["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["count"].as_u64().unwrap()),
        );
        assert_eq!(link.is_some(), body.get("next_cursor").is_some());
        let Some(link) = link else { break };
        path = link.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn browsers_are_told_what_not_to_do() {
    let client = client();
    for path in [
        "/docs",
        "/openapi.json",
        "/users",
        "/nowhere",
        "/users/alice",
        "/broken/panic",
    ] {
        let response = client.get(path).send().await;
        response.assert_header("x-frame-options", "DENY");
        response.assert_header("x-content-type-options", "nosniff");
        response.assert_header("referrer-policy", "no-referrer");
        response.assert_header("cache-control", "no-store");
        let policy = response.0.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}: {policy}");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        // Swagger UI is one style and two scripts, each in the page.
        let hashes = if path == "/docs" { 3 } else { 0 };
        assert_eq!(policy.matches("'sha256-").count(), hashes, "{path}: {policy}");
    }
}
