//! Who uses up a quota has no access.

use sea_orm::{EntityTrait as _, QueryFilter as _};
use vpnmanager_entities::{group::TrafficPeriod, placement};
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::{
        publications::claim::claim,
        users::change::{UserChange, change_user},
    },
};
use vpnmanager_nats::commands::Command;

use super::{at_rest, change_quota, is_over, judge, review, set_quota, transfer, user};
use crate::database::run;
use crate::ops::audited;
use crate::stack::Stack;

/// How often the trail says that a quota is nearly used, and that it is used up.
async fn told(stack: &Stack) -> (usize, usize) {
    (
        audited(stack, AuditAction::UserNearQuota).await.len(),
        audited(stack, AuditAction::UserOverQuota).await.len(),
    )
}

/// Whether the newest command lets the user in, and whether it is urgent.
async fn commanded(stack: &Stack, username: &str) -> (bool, bool) {
    run(&stack.app.db, "UPDATE placements SET lease_until = 'epoch'").await;
    let claimed = claim(&stack.app.leases).await.expect("claimed");
    let mut commands = claimed.into_iter().map(|claim| claim.publication.command.body);
    let active = commands.find_map(|command| match command {
        Command::PutUser(put) => (put.username.as_str() == username).then_some(put.active),
        Command::RemoveUser(_) => None,
    });
    let placed = placement::Entity::find().filter(placement::COLUMN.user_id.eq(user(stack, username).await.id));
    let placed = placed.one(&stack.app.db).await.expect("read").expect("placed");
    (active.expect("a command"), placed.urgent_since.is_some())
}

#[tokio::test]
async fn who_uses_up_the_quota_is_refused_at_once_and_the_trail_says_each_thing_once() {
    let stack = at_rest(&["alice", "bob"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "bob", 799, 0).await;
    transfer(&stack, "alice", 799, 0).await;
    judge(&stack, "alice").await;
    assert_eq!(told(&stack).await, (0, 0));

    transfer(&stack, "alice", 1, 2).await;
    for _again in 0..2 {
        judge(&stack, "alice").await;
        assert_eq!(told(&stack).await, (1, 0));
    }
    assert_eq!(user(&stack, "alice").await.revision, 1, "nothing is new for nodes");
    run(
        &stack.app.db,
        "UPDATE placements SET published_revision = wanted_revision",
    )
    .await;

    transfer(&stack, "alice", 200, 0).await;
    for _again in 0..2 {
        judge(&stack, "alice").await;
        assert_eq!(told(&stack).await, (1, 1));
    }
    let alice = user(&stack, "alice").await;
    assert_eq!((alice.revision, alice.active, alice.synced), (2, true, false));
    assert!(alice.over_quota_since.is_some());
    assert_eq!(commanded(&stack, "alice").await, (false, true));
    assert!(!is_over(&stack, "bob").await);

    let near = &audited(&stack, AuditAction::UserNearQuota).await[0];
    assert_eq!(near.details.as_deref(), Some("800 of 1000 bytes are used"));
    let over = &audited(&stack, AuditAction::UserOverQuota).await[0];
    assert_eq!(
        (
            over.actor.as_str(),
            over.username.as_deref(),
            over.server_id.as_str(),
            over.details.as_deref()
        ),
        (
            "system",
            Some("alice"),
            "management-test",
            Some("1000 of 1000 bytes are used")
        )
    );
    let since = |state: &Option<serde_json::Value>| state.as_ref().expect("a state")["over_quota_since"].is_string();
    assert_eq!((since(&over.before), since(&over.after)), (false, true));
}

#[tokio::test]
async fn the_trail_says_of_each_quota_of_the_group_that_most_of_it_is_used() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "alice", 850, 0).await;
    judge(&stack, "alice").await;
    assert_eq!(told(&stack).await, (1, 0));

    change_quota(&stack, "default", 2_000, TrafficPeriod::Endless).await;
    transfer(&stack, "alice", 749, 0).await;
    judge(&stack, "alice").await;
    assert_eq!(told(&stack).await, (1, 0), "1,599 are less than 80 %");
    transfer(&stack, "alice", 1, 0).await;
    judge(&stack, "alice").await;
    assert_eq!(told(&stack).await, (2, 0));
    let near = audited(&stack, AuditAction::UserNearQuota).await;
    let last = near.last().and_then(|entry| entry.details.as_deref());
    assert_eq!(last, Some("1600 of 2000 bytes are used"));
}

#[tokio::test]
async fn who_passes_both_marks_between_two_reports_is_told_of_with_both() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "alice", 5_000, 0).await;
    judge(&stack, "alice").await;
    assert_eq!(told(&stack).await, (1, 1));
}

#[tokio::test]
async fn only_members_of_a_group_with_a_quota_are_judged_and_only_by_their_period() {
    let stack = at_rest(&["alice", "bob"]).await;
    run(
        &stack.app.db,
        "UPDATE users SET group_name = 'sales' WHERE username = 'alice'",
    )
    .await;
    for name in ["alice", "bob"] {
        transfer(&stack, name, 5_000, 2).await;
        judge(&stack, name).await;
    }
    assert_eq!(told(&stack).await, (0, 0), "no group has one");

    set_quota(&stack, "sales", 1_000, "day").await;
    for name in ["alice", "bob"] {
        judge(&stack, name).await;
    }
    assert_eq!(told(&stack).await, (0, 0), "what was two days ago counts no more");

    set_quota(&stack, "sales", 1_000, "none").await;
    for name in ["alice", "bob"] {
        judge(&stack, name).await;
    }
    assert!(is_over(&stack, "alice").await);
    assert!(!is_over(&stack, "bob").await, "he is in another group");
}

#[tokio::test]
async fn who_comes_into_a_group_whose_quota_is_used_up_is_refused_at_once_and_who_leaves_it_is_lifted() {
    let stack = at_rest(&["alice", "bob"]).await;
    transfer(&stack, "alice", 1_000, 0).await;
    transfer(&stack, "bob", 100, 0).await;
    set_quota(&stack, "sales", 1_000, "none").await;
    let moved = async |username: &str, group: &str| {
        let change = UserChange {
            group: Some(group.parse().expect("the name of a group")),
            ..UserChange::default()
        };
        let username = username.parse().expect("a valid username");
        let view = change_user(&stack.app, &Actor::system(), &username, change).await;
        let view = view.expect("changed");
        let wanted: Vec<i64> = view.placements.iter().map(|placed| placed.wanted_revision).collect();
        assert_eq!(wanted, [view.user.revision], "{username}");
        (view.user.over_quota_since.is_some(), view.user.revision)
    };

    assert_eq!(moved("alice", "sales").await, (true, 3));
    assert_eq!(moved("bob", "sales").await, (false, 2));
    assert_eq!(told(&stack).await, (1, 1));
    assert_eq!(commanded(&stack, "alice").await, (false, true));

    assert_eq!(moved("alice", "default").await, (false, 5));
    assert!(commanded(&stack, "alice").await.0);
}

#[tokio::test]
async fn replicas_that_judge_at_once_refuse_once() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "alice", 1_000, 0).await;
    let judging = (0..6).map(|_| judge(&stack, "alice"));
    futures_util::future::join_all(judging).await;
    assert_eq!(told(&stack).await, (1, 1));
    assert_eq!(user(&stack, "alice").await.revision, 2);
}

#[tokio::test]
async fn who_is_suspended_and_over_the_quota_needs_both_lifted() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    let name = "alice".parse().expect("a valid username");
    let activity = async |active| {
        let change = UserChange {
            active: Some(active),
            ..UserChange::default()
        };
        let changed = change_user(&stack.app, &Actor::system(), &name, change).await;
        changed.expect("changed");
    };
    activity(false).await;
    transfer(&stack, "alice", 1_000, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await, "a suspension hides nothing");

    activity(true).await;
    assert!(is_over(&stack, "alice").await);
    assert!(!commanded(&stack, "alice").await.0);

    activity(false).await;
    set_quota(&stack, "default", 2_000, "none").await;
    review(&stack).await;
    assert!(!is_over(&stack, "alice").await);
    assert!(!commanded(&stack, "alice").await.0);

    activity(true).await;
    assert!(commanded(&stack, "alice").await.0);
}

#[tokio::test]
async fn a_node_that_claims_more_bytes_than_can_be_counted_refuses_its_users_and_fails_nothing() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    run(
        &stack.app.db,
        "INSERT INTO traffic_days (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT now()::date, id, username, 'node-1', 9223372036854775807, 9223372036854775807, 1 FROM users",
    )
    .await;
    judge(&stack, "alice").await;
    let over = audited(&stack, AuditAction::UserOverQuota).await;
    let details = over.first().and_then(|entry| entry.details.as_deref());
    assert_eq!(details, Some("9223372036854775807 of 1000 bytes are used"));
}

/// alice is over the quota, and node-1, which has applied that, tells of a session of hers that goes on.
async fn connected_all_the_same() -> Stack {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    transfer(&stack, "alice", 1_000, 0).await;
    judge(&stack, "alice").await;
    run(
        &stack.app.db,
        "INSERT INTO sessions (server_id, since, cid, common_name, user_id, real_address, bytes_in, bytes_out, seen_at)
         SELECT 'node-1', date_trunc('second', now()) - interval '1 hour', 1, c.common_name, u.id, '192.0.2.1:1', 0, 0, now()
         FROM users u JOIN credentials c ON c.user_id = u.id",
    )
    .await;
    run(&stack.app.db, CONNECTED).await;
    stack
}

/// She was refused two minutes ago, and is connected now.
const CONNECTED: &str = "
    UPDATE users SET over_quota_since = now() - interval '2 minutes', refused_again_at = NULL;
    UPDATE placements SET applied_revision = wanted_revision, published_revision = wanted_revision, urgent_since = NULL;
    UPDATE sessions SET seen_at = now(), ended_at = NULL, end_kind = NULL, gone_at = NULL";

#[tokio::test]
async fn who_is_connected_although_refused_is_refused_once_more() {
    let stack = connected_all_the_same().await;
    // By several replicas, and with each report.
    for _again in 0..2 {
        let judging = (0..4).map(|_| judge(&stack, "alice"));
        futures_util::future::join_all(judging).await;
    }
    let alice = user(&stack, "alice").await;
    assert_eq!((alice.revision, alice.synced), (3, false));
    assert!(alice.over_quota_since.is_some());
    assert_eq!(commanded(&stack, "alice").await, (false, true));
    let over = audited(&stack, AuditAction::UserOverQuota).await;
    let [_refused, again] = over.as_slice() else {
        panic!("{over:?}");
    };
    assert_eq!(
        again.details.as_deref(),
        Some("connected to node-1 all the same: refused once more")
    );
    let revision = |state: &Option<serde_json::Value>| state.as_ref().expect("a state")["revision"].as_i64();
    assert_eq!((revision(&again.before), revision(&again.after)), (Some(2), Some(3)));
}

#[tokio::test]
async fn nobody_is_refused_once_more_whose_session_is_being_cut_or_more_than_once_in_ten_minutes() {
    let stack = connected_all_the_same().await;
    for (change, revisions) in [
        ("SELECT 1", 1),
        ("UPDATE users SET refused_again_at = now() - interval '11 minutes'", 1),
        ("UPDATE users SET refused_again_at = now() - interval '9 minutes'", 0),
        ("UPDATE users SET over_quota_since = now() - interval '50 seconds'", 0),
        // It was not seen since.
        ("UPDATE sessions SET seen_at = now() - interval '90 seconds'", 0),
        (
            "UPDATE sessions SET ended_at = now(), end_kind = 'seen', gone_at = now()",
            0,
        ),
        // The node has not heard of it yet.
        ("UPDATE placements SET applied_revision = wanted_revision - 1", 0),
    ] {
        run(&stack.app.db, CONNECTED).await;
        run(&stack.app.db, change).await;
        let before = user(&stack, "alice").await.revision;
        judge(&stack, "alice").await;
        let after = user(&stack, "alice").await.revision;
        assert_eq!(after - before, revisions, "{change}");
    }
}
