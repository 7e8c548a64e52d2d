//! What is kept, and what becomes of a webhook that nobody answers.

use poem::http::StatusCode;
use serde_json::json;

use super::receiver::Receiver;
use super::{deliveries, hook, newest_is, open_stack};
use crate::database::{number, run};
use crate::stack::{WithKey as _, get, json_of};
use crate::trail::text;

#[tokio::test]
async fn no_table_has_the_secret_and_no_answer_shows_it_again() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    let (id, secret) = hook(&stack, &receiver, json!({})).await;
    let key = secret.strip_prefix("whsec_").expect("a secret");
    let bytes = data_encoding::BASE64.decode(key.as_bytes()).expect("base64");
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let db = &stack.app.db;
    for table in ["webhooks", "webhook_deliveries", "audit_log"] {
        let rows = text(
            db,
            &format!("SELECT COALESCE(string_agg(t::text, '|'), '') FROM {table} t"),
        )
        .await;
        assert!(
            !rows.contains(&secret) && !rows.contains(key) && !rows.contains(&hex),
            "{table}"
        );
    }
    let shown = get(&stack, &format!("/api/webhooks/{id}")).await.to_string();
    assert!(!shown.contains(key), "{shown}");
    // What a path of a URL may be is not in the trail.
    let trail = get(&stack, "/api/audit?action=webhook_created").await.to_string();
    assert!(
        trail.contains(&receiver.address.to_string()) && !trail.contains("/hook"),
        "{trail}"
    );
}

#[tokio::test]
async fn who_answers_gone_is_sent_nothing_more() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    receiver.answer_next(&["410 Gone"]);
    let (id, _) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    stack.create_user("alice").await;
    newest_is(&stack, id, "ended", |delivery| delivery["status"] == 410).await;
    let webhook = get(&stack, &format!("/api/webhooks/{id}")).await;
    assert_eq!(
        (&webhook["enabled"], &webhook["disabled_reason"]),
        (&json!(false), &json!("the receiver answered 410 Gone"))
    );
    let trail = get(&stack, "/api/audit?action=webhook_disabled").await;
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(1));
    let refused = stack
        .client()
        .post(format!("/api/webhooks/{id}/test"))
        .admin()
        .send()
        .await;
    json_of(refused, StatusCode::CONFLICT).await;
}

#[tokio::test]
async fn an_event_is_given_up_after_three_days_and_that_is_told_once() {
    let stack = open_stack().await;
    let receiver = Receiver::start().await;
    receiver.answer_next(&["302 Found\r\nlocation: /elsewhere"]);
    let (id, _) = hook(&stack, &receiver, json!({ "types": ["user_created"] })).await;
    stack.create_user("alice").await;
    let redirected = newest_is(&stack, id, "an attempt", |delivery| delivery["attempts"] == 1).await;
    assert_eq!(redirected["status"], 302);
    assert!(
        receiver.received().iter().all(|received| received.path == "/hook"),
        "no redirect is followed"
    );
    let db = &stack.app.db;
    let much_later = "UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 hour'";
    run(db, much_later).await;
    receiver.answer_next(&["500 Internal Server Error"]);
    stack.create_user("bob").await;
    newest_is(&stack, id, "another attempt", |delivery| delivery["status"] == 500).await;
    run(db, much_later).await;

    receiver.answer_next(&["500 Internal Server Error"]);
    run(
        db,
        "UPDATE webhook_deliveries SET created_at = now() - interval '73 hours', next_attempt_at = now()
         WHERE id = (SELECT min(id) FROM webhook_deliveries)",
    )
    .await;
    stack.app.webhooks.wake();
    crate::database::until(
        db,
        "given up",
        "SELECT count(*) FROM webhook_deliveries WHERE next_attempt_at IS NULL",
    )
    .await;
    let webhook = get(&stack, &format!("/api/webhooks/{id}")).await;
    assert!(
        webhook["failing_since"].is_string() && webhook["enabled"] == true,
        "{webhook}"
    );
    assert_eq!(
        number(db, "SELECT count(*) FROM audit_log WHERE action = 'webhook_failing'").await,
        1
    );
    assert_eq!(deliveries(&stack, id).await.len(), 2);

    // The other one gets through, so it works again.
    super::pause_is_over(&stack).await;
    newest_is(&stack, id, "delivered", |delivery| delivery["delivered_at"].is_string()).await;
    assert!(
        get(&stack, &format!("/api/webhooks/{id}"))
            .await
            .get("failing_since")
            .is_none()
    );
}

#[tokio::test]
async fn what_was_recorded_and_not_handed_over_before_a_restart_is_sent_after_it() {
    let database = crate::database::fresh_database().await;
    let settings = [("WEBHOOK_PRIVATE_ADDRESSES", "true"), ("WEBHOOK_PLAIN_HTTP", "true")];
    let stack = crate::stack::Stack::start_on(&database, &settings).await;
    let receiver = Receiver::start().await;
    hook(&stack, &receiver, json!({ "types": ["node_drained"] })).await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "INSERT INTO audit_log (action, server_id, actor) VALUES ('node_drained', 'node-1', 'system')",
    )
    .await;
    let folder = stack.config.pki.dir.clone();
    let settings = [settings[0], settings[1], ("PKI_DIR", folder.to_str().expect("a path"))];
    let _again = crate::stack::Stack::start_on(&database, &settings).await;
    assert_eq!(receiver.has(1).await.len(), 1);
}
