//! What an operator forgives, and what the API says of quotas.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;

use super::{is_over, judge, set_quota, transfer, user};
use crate::database::run;
use crate::ops::{audited, create, enrol};
use crate::stack::{Stack, WithKey as _, json_of, problem_of};

/// alice is a member of a group with a quota of 1,000 bytes.
async fn with_quota(period: &str) -> Stack {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    set_quota(&stack, "default", 1_000, period).await;
    stack
}

async fn alice(stack: &Stack) -> Value {
    let answer = stack.client().get("/api/users/alice").admin().send().await;
    json_of(answer, StatusCode::OK).await
}

/// Bytes that count for alice.
async fn used(stack: &Stack) -> i64 {
    alice(stack).await["traffic"]["used"].as_i64().expect("a number")
}

async fn forgive(stack: &Stack) -> Value {
    let client = stack.client();
    let answer = client.post("/api/users/alice/traffic/forgive").admin().send().await;
    json_of(answer, StatusCode::OK).await
}

#[tokio::test]
async fn what_was_used_so_far_is_forgiven_and_counts_anew_from_then_on() {
    let stack = with_quota("none").await;
    transfer(&stack, "alice", 1_200, 0).await;
    judge(&stack, "alice").await;
    let over = alice(&stack).await;
    assert_eq!(
        (
            &over["over_quota"],
            &over["active"],
            over["over_quota_since"].is_string()
        ),
        (&json!(true), &json!(true), true)
    );
    assert_eq!(over["traffic"], json!({ "used": 1_200, "quota": 1_000 }));
    create(&stack, "bob").await;
    for (over_quota, name) in [(true, "alice"), (false, "bob")] {
        let path = format!("/api/users?over_quota={over_quota}");
        let listed = json_of(stack.client().get(path).admin().send().await, StatusCode::OK).await;
        let items = listed["items"].as_array().expect("items");
        let names: Vec<&Value> = items.iter().map(|user| &user["username"]).collect();
        assert_eq!(names, [name], "{over_quota}");
    }

    let forgiven = forgive(&stack).await;
    assert_eq!(
        (&forgiven["over_quota"], &forgiven["revision"]),
        (&json!(false), &json!(3))
    );
    let after = alice(&stack).await;
    assert_eq!(
        (&after["traffic"]["used"], after.get("over_quota_since")),
        (&json!(0), None)
    );
    let entries = audited(&stack, AuditAction::UserQuotaLifted).await;
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert!(entry.actor.starts_with("key:"), "{entry:?}");
    assert_eq!(entry.details.as_deref(), Some("forgiven: 1200 of 1000 bytes are used"));

    transfer(&stack, "alice", 850, 0).await;
    judge(&stack, "alice").await;
    assert_eq!(audited(&stack, AuditAction::UserNearQuota).await.len(), 2, "once more");
    assert_eq!(alice(&stack).await["traffic"]["used"], json!(850));
    assert_eq!(forgive(&stack).await["revision"], json!(3), "nodes hear nothing of it");
    assert_eq!(user(&stack, "alice").await.traffic_forgiven, 2_050);
    forgive(&stack).await;
    assert_eq!(
        audited(&stack, AuditAction::UserQuotaLifted).await.len(),
        2,
        "there was nothing to forgive"
    );
    transfer(&stack, "alice", 1_000, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
}

/// The traffic of these days is not there any more, or is not of this period.
#[tokio::test]
async fn what_was_forgiven_of_other_days_is_no_credit() {
    for period in ["none", "day"] {
        let stack = with_quota(period).await;
        transfer(&stack, "alice", 5_000, 3).await;
        run(
            &stack.app.db,
            "UPDATE users SET traffic_forgiven = 5000, forgiven_on = (now() AT TIME ZONE 'UTC')::date - 1",
        )
        .await;
        assert_eq!(used(&stack).await, 0, "{period}");
        run(&stack.app.db, "DELETE FROM traffic_days").await;
        transfer(&stack, "alice", 1_000, 0).await;
        judge(&stack, "alice").await;
        assert!(is_over(&stack, "alice").await, "{period}");
        forgive(&stack).await;
        assert_eq!(user(&stack, "alice").await.traffic_forgiven, 1_000, "{period}");
    }
}

#[tokio::test]
async fn what_is_reported_after_something_was_forgiven_counts_whatever_was_claimed_before() {
    let stack = with_quota("none").await;
    let claim = "INSERT INTO traffic_days (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT (now() AT TIME ZONE 'UTC')::date - days, id, username, 'node-2', 1000000000000000, 1000000000000000, 1
         FROM users, generate_series(0, 400) AS days";
    run(&stack.app.db, claim).await;
    transfer(&stack, "alice", 10, 0).await;
    assert_eq!(used(&stack).await, 401 * 2_000_000_000_000_000 + 10);
    forgive(&stack).await;
    assert_eq!(used(&stack).await, 0);

    // Today, and of an earlier day, which a node tells of late.
    transfer(&stack, "alice", 300, 0).await;
    transfer(&stack, "alice", 400, 2).await;
    assert_eq!(used(&stack).await, 700);
    forgive(&stack).await;
    assert_eq!(used(&stack).await, 0);

    transfer(&stack, "alice", 1_000, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
}

#[tokio::test]
async fn a_user_shows_the_period_if_it_has_an_end_and_no_traffic_without_a_quota() {
    let stack = with_quota("week").await;
    let shown = alice(&stack).await;
    let began = shown["traffic"]["period_began"].as_str().expect("a time");
    let ends = shown["traffic"]["period_ends"].as_str().expect("a time");
    for time in [began, ends] {
        assert!(time.ends_with("T00:00:00Z"), "{time}");
    }
    assert!(began < ends);

    run(&stack.app.db, "UPDATE groups SET traffic_bytes = NULL").await;
    let shown = alice(&stack).await;
    assert_eq!((shown.get("traffic"), &shown["over_quota"]), (None, &json!(false)));
}

#[tokio::test]
async fn without_a_quota_or_a_user_there_is_nothing_to_forgive() {
    let stack = with_quota("none").await;
    run(&stack.app.db, "UPDATE groups SET traffic_bytes = NULL").await;
    let client = stack.client();
    let answer = client.post("/api/users/alice/traffic/forgive").admin().send().await;
    let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
    assert_eq!(fields, Vec::<String>::new());
    assert!(
        problem.to_string().contains("the group default has no quota"),
        "{problem}"
    );
    let answer = client.post("/api/users/nobody/traffic/forgive").admin().send().await;
    problem_of(answer, StatusCode::NOT_FOUND).await;
}
