//! What a stolen node claimed is discarded.

use chrono::{Days, NaiveDate, Utc};
use poem::http::StatusCode;
use poem::test::TestResponse;
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{is_over, judge, set_quota, transfer};
use crate::database::{number, run, until};
use crate::ops::{audited, create, enrol};
use crate::stack::{Stack, get, json_of, post, problem_of};

async fn discard(stack: &Stack, node: &str, body: &Value) -> TestResponse {
    post(stack, &format!("/api/endnodes/{node}/traffic/discard"), body).await
}

/// Yesterday: whenever a test runs, today has not passed before it ends.
fn yesterday() -> NaiveDate {
    let today = Utc::now().date_naive();
    today.checked_sub_days(Days::new(1)).expect("a day")
}

/// alice and bob are over a quota of 1,000 bytes by what node-1 claimed. Of that, 5 bytes of alice are of three days ago.
async fn claimed() -> Stack {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    create(&stack, "bob").await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "alice", 5, 3).await;
    for name in ["alice", "bob"] {
        transfer(&stack, name, 1_000, 0).await;
        judge(&stack, name).await;
        assert!(is_over(&stack, name).await, "{name}");
    }
    run(
        &stack.app.db,
        "INSERT INTO traffic_days SELECT day, user_id, username, 'node-2', 10, 20, 1 FROM traffic_days
         WHERE username = 'alice' ORDER BY day DESC LIMIT 1",
    )
    .await;
    stack
}

/// Within 10 s, and without that the review would run every 30 s.
#[tokio::test]
async fn what_a_node_reported_counts_no_more_and_everybody_has_access_again_soon() {
    let stack = claimed().await;
    let from = json!({ "from": yesterday() });

    let answer = json_of(discard(&stack, "node-1", &from).await, StatusCode::OK).await;
    assert_eq!(answer, json!({ "users": 2, "bytes_in": 1_000, "bytes_out": 1_000 }));

    let lifted = "SELECT (count(*) = 2)::int FROM users WHERE over_quota_since IS NULL";
    until(&stack.app.db, "both to be lifted", lifted).await;
    let shown = get(&stack, "/api/users/alice").await;
    assert_eq!(shown["traffic"]["used"], 35, "of earlier days, and of the other node");

    let again = json_of(discard(&stack, "node-1", &from).await, StatusCode::OK).await;
    assert_eq!(again, json!({ "users": 0, "bytes_in": 0, "bytes_out": 0 }));
    let entries = audited(&stack, AuditAction::NodeTrafficDiscarded).await;
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert!(entry.actor.starts_with("key:"), "{entry:?}");
    assert_eq!(
        (entry.server_id.as_str(), entry.details.as_deref()),
        ("node-1", Some(format!("from {} on, of 2 users", yesterday()).as_str()))
    );
    assert_eq!(
        entry.before,
        Some(json!({ "from": yesterday(), "users": 2, "bytes_in": 1_000, "bytes_out": 1_000 }))
    );
    assert_eq!(entry.after, None);
}

#[tokio::test]
async fn a_node_that_has_left_is_named_too_and_one_that_never_was_is_not_found() {
    let stack = claimed().await;
    run(&stack.app.db, "DELETE FROM servers").await;
    let from = json!({ "from": "1970-01-01" });

    problem_of(discard(&stack, "node-9", &from).await, StatusCode::NOT_FOUND).await;
    let answer = json_of(discard(&stack, "node-1", &from).await, StatusCode::OK).await;
    assert_eq!((&answer["users"], &answer["bytes_in"]), (&json!(2), &json!(1_003)));

    let left = "SELECT count(*) FROM traffic_days WHERE server_id <> 'node-2'";
    assert_eq!(number(&stack.app.db, left).await, 0);
}

#[tokio::test]
async fn without_a_day_nothing_is_discarded() {
    let stack = claimed().await;
    for body in [json!({}), json!({ "from": "2027-02-30" }), json!({ "from": 7 })] {
        let answer = discard(&stack, "node-1", &body).await;
        let (_, fields) = problem_of(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["from"], "{body}");
    }
    let left = "SELECT count(*) FROM traffic_days WHERE server_id = 'node-1'";
    assert_eq!(number(&stack.app.db, left).await, 3);
}
