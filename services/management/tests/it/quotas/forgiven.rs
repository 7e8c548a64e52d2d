//! What an operator forgives, and what the API says of quotas.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_entities::group::TrafficPeriod;
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::quotas::forgive::forgive_traffic,
};

use super::{at_rest, change_quota, is_over, judge, review, set_quota, transfer, user};
use crate::database::{number, run};
use crate::ops::{audited, create, enrol};
use crate::stack::{Stack, WithKey as _, get, json_of, problem_of};

/// alice is a member of a group with a quota of 1,000 bytes.
async fn with_quota(period: &str) -> Stack {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    set_quota(&stack, "default", 1_000, period).await;
    stack
}

async fn alice(stack: &Stack) -> Value {
    get(stack, "/api/users/alice").await
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
        let listed = get(&stack, &format!("/api/users?over_quota={over_quota}")).await;
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

/// alice and bob are members of a group with 1,000 bytes for ever. They were forgiven 5,000 of three days ago and 100 of today.
async fn forgiven_for_ever() -> Stack {
    let stack = at_rest(&["alice", "bob"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    for name in ["alice", "bob"] {
        transfer(&stack, name, 5_000, 3).await;
        transfer(&stack, name, 100, 0).await;
        let username = name.parse().expect("a valid username");
        let forgiven = forgive_traffic(&stack.app, &Actor::system(), &username).await;
        forgiven.expect("forgiven");
        assert_eq!(user(&stack, name).await.traffic_forgiven, 5_100);
    }
    stack
}

async fn uses_up_the_day(stack: &Stack, username: &str) {
    transfer(stack, username, 999, 0).await;
    judge(stack, username).await;
    assert!(!is_over(stack, username).await, "{username}");
    transfer(stack, username, 1, 0).await;
    judge(stack, username).await;
    assert!(is_over(stack, username).await, "{username}");
}

#[tokio::test]
async fn what_was_forgiven_of_a_longer_period_is_no_credit_when_that_of_the_group_becomes_shorter() {
    let stack = forgiven_for_ever().await;
    let own = "UPDATE users SET own_traffic_bytes = 1000, own_traffic_period = 'none', own_traffic_reset_day = 1
               WHERE username = 'bob'";
    run(&stack.app.db, own).await;
    transfer(&stack, "bob", 850, 0).await;
    judge(&stack, "bob").await;
    let kept = async || {
        let bob = user(&stack, "bob").await;
        (bob.traffic_forgiven, bob.quota_warned_from, bob.revision)
    };
    let before = kept().await;
    assert!(before.1.is_some(), "{before:?}");

    change_quota(&stack, "default", 1_000, TrafficPeriod::Day).await;
    assert_eq!(user(&stack, "alice").await.traffic_forgiven, 100);
    uses_up_the_day(&stack, "alice").await;
    assert_eq!(kept().await, before, "his own quota holds");
}

/// The replica that was asked for the change may have died, too.
#[tokio::test]
async fn a_change_of_the_quota_that_does_not_get_to_all_members_is_gone_on_with_at_the_next_start() {
    let stack = forgiven_for_ever().await;
    let bob = user(&stack, "bob").await.id;
    let fails = format!("ALTER TABLE users ADD CONSTRAINT not_bob CHECK (id <> {bob} OR traffic_forgiven <> 100)");
    run(&stack.app.db, &fails).await;
    change_quota(&stack, "default", 1_000, TrafficPeriod::Day).await;
    assert_eq!(user(&stack, "bob").await.traffic_forgiven, 5_100);

    run(&stack.app.db, "ALTER TABLE users DROP CONSTRAINT not_bob").await;
    review(&stack).await;
    for name in ["alice", "bob"] {
        assert_eq!(user(&stack, name).await.traffic_forgiven, 100, "{name}");
        uses_up_the_day(&stack, name).await;
    }
}

#[tokio::test]
async fn a_start_takes_nothing_of_what_was_forgiven() {
    let stack = forgiven_for_ever().await;
    set_quota(&stack, "default", 1_000, "day").await;
    for _again in 0..2 {
        review(&stack).await;
        assert_eq!(user(&stack, "alice").await.traffic_forgiven, 5_100);
    }
}

#[tokio::test]
async fn a_change_of_the_quota_gets_to_members_of_more_than_one_batch() {
    let stack = at_rest(&[]).await;
    set_quota(&stack, "sales", 1_000, "none").await;
    run(
        &stack.app.db,
        "INSERT INTO users (key, username, server_id, created_by, group_name, traffic_forgiven, forgiven_on, quota_warned_from)
         SELECT gen_random_uuid(), 'user-' || n, 'node-1', 'test', CASE n WHEN 7 THEN 'default' ELSE 'sales' END, 5000,
             (now() AT TIME ZONE 'UTC')::date, '1970-01-01'
         FROM generate_series(1, 250) n",
    )
    .await;
    change_quota(&stack, "sales", 1_000, TrafficPeriod::Day).await;
    let left = "SELECT count(*) FROM users WHERE traffic_forgiven > 0 OR quota_warned_from IS NOT NULL";
    assert_eq!(number(&stack.app.db, left).await, 1, "who is in another group");
    let unsettled = "SELECT count(*) FROM groups WHERE quota_settled_upto IS NOT NULL";
    assert_eq!(number(&stack.app.db, unsettled).await, 0);
}
