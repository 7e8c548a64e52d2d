//! Where nothing is sent.

use poem::http::{Method, StatusCode};
use serde_json::json;

use super::{newest_is, receiver::Receiver};
use crate::database::run;
use crate::stack::{Stack, WithKey as _, json_of, post, problem_of, send};

#[tokio::test]
async fn nothing_is_sent_to_private_addresses_or_without_tls_unless_allowed() {
    let stack = Stack::start().await;
    for url in [
        "https://127.0.0.1/",
        "https://[::1]:8443/",
        "https://10.0.0.1/a",
        "https://169.254.169.254/latest",
        "https://2130706433/",
        "https://[::ffff:192.168.0.1]/",
        "http://hooks.example.com/",
    ] {
        let (_, fields) = problem_of(
            post(&stack, "/api/webhooks", &json!({ "url": url })).await,
            StatusCode::CONFLICT,
        )
        .await;
        assert_eq!(fields, ["url"], "{url}");
    }
    for url in [
        "ftp://hooks.example.com",
        "hooks.example.com",
        "https://a b/",
        "https://user:word@hooks.example.com/",
    ] {
        let (_, fields) = problem_of(
            post(&stack, "/api/webhooks", &json!({ "url": url })).await,
            StatusCode::BAD_REQUEST,
        )
        .await;
        assert_eq!(fields, ["url"], "{url}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_sent_nothing() {
    let stack = Stack::start_with(&[("WEBHOOK_PLAIN_HTTP", "true")]).await;
    let receiver = Receiver::start().await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let made = json_of(
        post(&stack, "/api/webhooks", &json!({ "url": url })).await,
        StatusCode::CREATED,
    )
    .await;
    let id = made["webhook"]["id"].as_i64().expect("an id");
    post(&stack, &format!("/api/webhooks/{id}/test"), &json!({}))
        .await
        .assert_status(StatusCode::ACCEPTED);
    let failed = newest_is(&stack, id, "refused", |delivery| delivery["error"].is_string()).await;
    let error = failed["error"].as_str().expect("words");
    assert!(error.contains("which is not a public address"), "{error}");
    assert!(receiver.received().is_empty());
    // Nor an address that stands in the row, however it came there.
    let sql = format!("UPDATE webhooks SET url = 'http://{}/'", receiver.address);
    run(&stack.app.db, &sql).await;
    post(&stack, &format!("/api/webhooks/{id}/test"), &json!({}))
        .await
        .assert_status(StatusCode::ACCEPTED);
    newest_is(&stack, id, "refused", |delivery| {
        delivery["id"] != failed["id"] && delivery["error"].is_string()
    })
    .await;
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn what_there_is_not_is_not_found_and_what_is_deleted_is_gone() {
    let stack = Stack::start().await;
    let made = post(&stack, "/api/webhooks", &json!({ "url": "https://hooks.example.com/" })).await;
    made.assert_header("cache-control", "no-store");
    let id = json_of(made, StatusCode::CREATED).await["webhook"]["id"]
        .as_i64()
        .expect("an id");
    let path = format!("/api/webhooks/{id}");
    send(&stack, Method::DELETE, &path, &json!({}))
        .await
        .assert_status(StatusCode::NO_CONTENT);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/test")),
        (Method::POST, format!("{path}/rotate-secret")),
    ] {
        let client = stack.client();
        let answer = client.request(method, &path).admin().send().await;
        problem_of(answer, StatusCode::NOT_FOUND).await;
    }
}
