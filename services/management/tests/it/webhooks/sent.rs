//! What is sent.

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64;
use poem::http::{Method, StatusCode};
use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use super::receiver::{Received, Receiver};
use super::{deliveries, hook, newest_is, open_stack, pause_is_over};
use crate::events::reader::Reader;
use crate::stack::{Stack, get, json_of, post, send};

/// HMAC with SHA-256, as RFC 2104 writes it.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |byte: u8| block.iter().map(|key| key ^ byte).collect::<Vec<u8>>();
    let inner = digest(&SHA256, &[padded(0x36).as_slice(), message].concat());
    digest(&SHA256, &[padded(0x5c).as_slice(), inner.as_ref()].concat())
        .as_ref()
        .to_vec()
}

/// What the header of a message must have for this secret.
fn signature(received: &Received, secret: &str) -> String {
    let key = secret.strip_prefix("whsec_").expect("a secret");
    let key = BASE64.decode(key.as_bytes()).expect("base64");
    let signed = format!(
        "{}.{}.{}",
        received.headers["webhook-id"], received.headers["webhook-timestamp"], received.body
    );
    format!("v1,{}", BASE64.encode(&hmac(&key, signed.as_bytes())))
}

#[tokio::test]
async fn an_event_is_sent_signed_and_is_the_one_that_streams_show() {
    let stack = open_stack().await;
    let (server, receiver) = (stack.serve().await, Receiver::start().await);
    let (id, secret) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    let mut reader = Reader::open(server, "?type=user_created").await;
    stack.create_user("alice").await;

    let received = receiver.has(1).await.remove(0);
    let body: Value = serde_json::from_str(&received.body).expect("JSON");
    assert_eq!(received.path, "/hook");
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.headers["webhook-signature"], signature(&received, &secret));
    assert_eq!(body, reader.next().await.expect("an event").data);
    let delivered = newest_is(&stack, id, "delivered", |delivery| delivery["delivered_at"].is_string()).await;
    assert_eq!((&delivered["status"], &delivered["attempts"]), (&json!(204), &json!(1)));
    assert_eq!(delivered["event_id"], body["data"]["id"]);
    assert_eq!(delivered["message_id"], received.headers["webhook-id"]);
    assert!(delivered.get("next_attempt_at").is_none(), "{delivered}");
}

#[tokio::test]
async fn what_failed_is_sent_again_as_the_same_message() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    receiver.answer_next(&["500 Internal Server Error"]);
    let (id, secret) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    stack.create_user("alice").await;
    let failed = newest_is(&stack, id, "failed", |delivery| delivery["attempts"] == 1).await;
    assert_eq!(failed["status"], 500);
    assert_eq!(
        failed["error"],
        "the receiver answered 500 Internal Server Error: sorry"
    );
    assert!(failed["next_attempt_at"].is_string(), "{failed}");

    pause_is_over(&stack).await;

    let received = receiver.has(2).await;
    assert_eq!(received[0].headers["webhook-id"], received[1].headers["webhook-id"]);
    assert_eq!(received[0].body, received[1].body);
    for message in &received {
        assert_eq!(message.headers["webhook-signature"], signature(message, &secret));
    }
    newest_is(&stack, id, "delivered", |delivery| {
        delivery["attempts"] == 2 && delivery["delivered_at"].is_string()
    })
    .await;
    assert_eq!(deliveries(&stack, id).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_says_when_to_come_again_is_sent_nothing_that_waits_before_then() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    receiver.answer_next(&[
        "500 Internal Server Error",
        "503 Service Unavailable\r\nretry-after: 3600",
    ]);
    let (id, _) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    stack.create_user("alice").await;
    newest_is(&stack, id, "failed", |delivery| delivery["attempts"] == 1).await;
    stack.create_user("bob").await;
    receiver.has(2).await;
    let in_half_an_hour = Utc::now() + TimeDelta::minutes(30);
    let is_later = |delivery: &Value| {
        let at = delivery["next_attempt_at"].as_str();
        at.is_some_and(|at| DateTime::parse_from_rfc3339(at).expect("a time") > in_half_an_hour)
    };
    let put_off = wait::until_some(wait::SOON, "both wait", async || {
        let waiting = deliveries(&stack, id).await;
        (waiting.len() == 2 && waiting.iter().all(is_later)).then_some(())
    });
    put_off.await.expect("in time");
}

#[tokio::test]
async fn a_try_is_sent_once_and_tells_of_nothing() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    receiver.answer_next(&["503 Service Unavailable"]);
    let (id, _) = hook(&stack, &receiver, json!({ "types": ["user_removed"] })).await;
    let tried = async || {
        let answer = post(&stack, &format!("/api/webhooks/{id}/test"), &json!({})).await;
        json_of(answer, StatusCode::ACCEPTED).await["id"].clone()
    };
    let first = tried().await;
    let failed = newest_is(&stack, id, "failed", |delivery| delivery["error"].is_string()).await;
    assert_eq!((&failed["id"], &failed["type"]), (&first, &json!("webhook_test")));
    assert!(failed.get("next_attempt_at").is_none(), "{failed}");
    tried().await;
    newest_is(&stack, id, "delivered", |delivery| delivery["delivered_at"].is_string()).await;
    let body: Value = serde_json::from_str(&receiver.received()[1].body).expect("JSON");
    assert_eq!((&body["type"], &body["data"]), (&json!("webhook_test"), &json!({})));
}

#[tokio::test]
async fn while_a_secret_changes_messages_have_both_signatures() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    let (id, former) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    let path = format!("/api/webhooks/{id}/rotate-secret");
    let rotated = json_of(post(&stack, &path, &json!({})).await, StatusCode::OK).await;
    let secret = rotated["secret"].as_str().expect("a secret");
    stack.create_user("alice").await;
    let received = receiver.has(1).await.remove(0);
    assert_eq!(
        received.headers["webhook-signature"],
        format!("{} {}", signature(&received, secret), signature(&received, &former))
    );
}

#[tokio::test]
async fn one_receiver_that_hangs_holds_up_no_other() {
    let stack = open_stack().await;
    let (receiver, silent) = (
        Receiver::start().await,
        tokio::net::TcpListener::bind("127.0.0.1:0").await,
    );
    let silent = silent.expect("a free port");
    let hanging = format!("http://{}/", silent.local_addr().expect("bound"));
    let made = post(
        &stack,
        "/api/webhooks",
        &json!({ "url": hanging, "types": ["user_created"] }),
    )
    .await;
    made.assert_status(StatusCode::CREATED);
    hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    let begun = Instant::now();
    for name in ["alice", "bob", "carol"] {
        stack.create_user(name).await;
    }
    receiver.has(3).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn many_receivers_that_hang_hold_up_others_for_one_attempt_alone() {
    let stack = open_stack().await;
    let (receiver, silent) = (
        Receiver::start().await,
        tokio::net::TcpListener::bind("127.0.0.1:0").await,
    );
    let silent = silent.expect("a free port");
    let hanging = format!("http://{}/", silent.local_addr().expect("bound"));
    // As many as a replica sends for at once.
    for _ in 0..16 {
        let wish = json!({ "url": hanging, "types": ["user_created"] });
        let made = post(&stack, "/api/webhooks", &wish).await;
        made.assert_status(StatusCode::CREATED);
    }
    hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    let begun = Instant::now();
    for name in ["alice", "bob", "carol"] {
        stack.create_user(name).await;
    }
    let came = wait::until(Duration::from_secs(60), "a message", async || {
        !receiver.received().is_empty()
    });
    came.await.expect("in time");
    // An attempt ends after 10 s, a turn only after 30 s.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_webhook_that_is_enabled_again_gets_what_comes_from_then_on() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    let (id, _) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    let path = format!("/api/webhooks/{id}");
    set_enabled(&stack, &path, false).await;
    stack.create_user("alice").await;
    set_enabled(&stack, &path, true).await;
    stack.create_user("bob").await;
    let received = receiver.has(1).await;
    let body: Value = serde_json::from_str(&received[0].body).expect("JSON");
    assert_eq!(body["data"]["username"], "bob");
    let trail = get(&stack, "/api/audit?action=webhook_changed").await;
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(2));
}

async fn set_enabled(stack: &Stack, path: &str, enabled: bool) {
    let changed = send(stack, Method::PATCH, path, &json!({ "enabled": enabled })).await;
    assert_eq!(json_of(changed, StatusCode::OK).await["enabled"], enabled);
}
