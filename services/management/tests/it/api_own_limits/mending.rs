//! Housekeeping mends the groups for own rules of many users, some of whom it cannot help.

use serde_json::json;
use vpnmanager_management::{domain::audit_action::AuditAction, ops::users::mend_own_groups::mend_own_groups};

use super::{fleet, make};
use crate::{
    database::{number, run},
    ops::audited,
    stack::Stack,
};

/// A fleet with alice, who is slow and in the group `sales`, without background tasks.
async fn with_alice() -> Stack {
    let stack = fleet().await;
    let slow = json!({ "group": "sales", "limits": { "speed": { "down": 64 } } });
    make(&stack, "alice", slow).await;
    stack.end_tasks().await;
    stack
}

/// As many users as one run takes, in a group for own rules that is not there.
async fn misplace(stack: &Stack, prefix: &str, group: &str, kilobits: u32) {
    let rules = json!({ "down": kilobits });
    let insert = format!(
        "INSERT INTO users (key, username, server_id, created_by, group_name, own_rules, own_group)
         SELECT gen_random_uuid(), '{prefix}-' || n, 'node-1', 'test', '{group}', '{rules}', 'own-' || repeat('0', 20)
         FROM generate_series(1, 100) n"
    );
    run(&stack.app.db, &insert).await;
}

#[tokio::test]
async fn users_whose_group_is_gone_hold_up_nobody() {
    let stack = with_alice().await;
    let (app, db) = (&stack.app, &stack.app.db);
    misplace(&stack, "lost", "sales", 64).await;
    // An older replica moved alice and deleted the group.
    run(db, "UPDATE users SET group_name = 'default' WHERE username = 'alice'").await;
    run(db, "DELETE FROM groups WHERE name = 'sales'").await;

    for _ in 0..2 {
        assert!(!mend_own_groups(app).await.expect("mended"), "nobody else can be");

        let right = "SELECT count(*) FROM users u JOIN own_groups o ON o.name = u.own_group
                         AND o.group_name = u.group_name AND o.group_name = 'default'";
        assert_eq!(number(db, right).await, 1);
        assert_eq!(audited(&stack, AuditAction::UserChanged).await.len(), 1);
    }
}

#[tokio::test]
async fn users_who_cannot_be_mended_hold_up_nobody_and_make_no_run_follow_at_once() {
    let stack = with_alice().await;
    let (app, db) = (&stack.app, &stack.app.db);
    let others = "INSERT INTO groups (name) SELECT 'group-' || n FROM generate_series(1, 61) n";
    run(db, others).await;
    // There is no room for a group of theirs, and those who came after them need none: alice has it.
    misplace(&stack, "stuck", "default", 128).await;
    misplace(&stack, "next", "sales", 64).await;

    let more = mend_own_groups(app).await.expect("some were mended");
    assert!(more, "there may be more");

    let right = "SELECT count(*) FROM users u JOIN own_groups o ON o.name = u.own_group WHERE u.username LIKE 'next-%'";
    assert_ne!(number(db, right).await, 0);
    run(db, "DELETE FROM users WHERE username LIKE 'next-%'").await;
    mend_own_groups(app).await.expect_err("nobody was mended");
}
