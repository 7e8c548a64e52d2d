//! Who is not over a quota any more has access again.

use vpnmanager_management::{domain::audit_action::AuditAction, ops::quotas::review::Review};

use super::{at_rest, is_over, judge, review, set_quota, transfer, user};
use crate::database::{number, run};
use crate::ops::audited;
use crate::stack::Stack;

/// alice, who used up a quota with what she transferred so many days ago.
async fn over_since(days_ago: u8) -> Stack {
    let stack = at_rest(&["alice", "bob"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "alice", 1_000, days_ago).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
    stack
}

#[tokio::test]
async fn the_next_period_lifts_by_itself_and_the_trail_says_so_once() {
    let stack = over_since(2).await;
    review(&stack).await;
    assert!(is_over(&stack, "alice").await, "its period lasts");

    // As if the days were over that she used it on.
    set_quota(&stack, "default", 1_000, "day").await;
    futures_util::future::join_all((0..4).map(|_| review(&stack))).await;

    let alice = user(&stack, "alice").await;
    assert_eq!((alice.over_quota_since, alice.revision), (None, 3));
    let lifted = audited(&stack, AuditAction::UserQuotaLifted).await;
    assert_eq!(lifted.len(), 1);
    let details = lifted[0].details.as_deref().unwrap_or_default();
    assert!(details.starts_with("0 of 1000 bytes are used since 20"), "{details}");
    assert_eq!(
        (lifted[0].actor.as_str(), lifted[0].username.as_deref()),
        ("system", Some("alice"))
    );
    let wanted = "SELECT count(*) FROM placements p JOIN users u ON u.id = p.user_id
                  WHERE u.username = 'alice' AND p.wanted_revision = 3";
    assert_eq!(number(&stack.app.db, wanted).await, 1);
}

#[tokio::test]
async fn another_quota_or_group_lifts_where_there_is_room() {
    for (change, is_lifted) in [
        ("UPDATE groups SET traffic_bytes = 1001 WHERE name = 'default'", true),
        ("UPDATE groups SET traffic_bytes = 999 WHERE name = 'default'", false),
        ("UPDATE groups SET traffic_bytes = NULL", true),
        ("UPDATE users SET group_name = 'sales'", true),
        (
            "UPDATE users SET group_name = 'sales'; UPDATE groups SET traffic_bytes = 1000, traffic_period = 'none'",
            false,
        ),
    ] {
        let stack = over_since(0).await;
        run(&stack.app.db, change).await;
        review(&stack).await;
        assert_eq!(!is_over(&stack, "alice").await, is_lifted, "{change}");
    }
}

#[tokio::test]
async fn a_quota_that_is_given_or_lowered_refuses_who_has_used_it() {
    let stack = at_rest(&["alice", "bob", "carol"]).await;
    run(
        &stack.app.db,
        "UPDATE users SET group_name = 'sales' WHERE username = 'carol'",
    )
    .await;
    transfer(&stack, "alice", 1_000, 0).await;
    transfer(&stack, "bob", 100, 0).await;
    transfer(&stack, "carol", 1_000, 0).await;
    let mut replica = Review::default();
    let mut over = async || {
        replica.run(&stack.app).await.expect("reviewed");
        let mut over = Vec::new();
        for name in ["alice", "bob", "carol"] {
            if is_over(&stack, name).await {
                over.push(name);
            }
        }
        over
    };
    let nobody: [&str; 0] = [];
    assert_eq!(over().await, nobody);
    set_quota(&stack, "default", 500, "none").await;
    assert_eq!(over().await, ["alice"]);
    set_quota(&stack, "sales", 500, "none").await;
    assert_eq!(over().await, ["alice", "carol"]);
    set_quota(&stack, "default", 100, "none").await;
    assert_eq!(over().await, ["alice", "bob", "carol"]);
    run(&stack.app.db, "UPDATE groups SET traffic_bytes = NULL").await;
    assert_eq!(over().await, nobody);
}

#[tokio::test]
async fn more_than_one_batch_is_lifted() {
    let stack = at_rest(&[]).await;
    run(
        &stack.app.db,
        "INSERT INTO users (key, username, server_id, created_by, over_quota_since)
         SELECT gen_random_uuid(), 'user-' || n, 'node-1', 'test', now() FROM generate_series(1, 620) n;
         INSERT INTO users (key, username, server_id, created_by, over_quota_since, removed_at)
         VALUES (gen_random_uuid(), 'gone', 'node-1', 'test', now(), now())",
    )
    .await;
    review(&stack).await;
    let left = "SELECT count(*) FROM users WHERE over_quota_since IS NOT NULL";
    assert_eq!(number(&stack.app.db, left).await, 1, "who is removed stays as she was");
    assert_eq!(audited(&stack, AuditAction::UserQuotaLifted).await.len(), 620);
}
