//! Quotas of users of their own: they come before those of groups.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_entities::group::TrafficPeriod;
use vpnmanager_management::{
    domain::{
        actor::Actor,
        audit_action::AuditAction,
        own_limits::{OwnLimits, OwnLimitsChange},
        quota::Quota,
    },
    ops::{
        publications::claim::claim,
        quotas::{follow_traffic::follow_traffic, forgive::forgive_traffic, read::read_counted, review::Review},
        users::{
            change::{UserChange, change_user},
            create::{NewUser, PlacementRules, create_batch},
            read::UserView,
            remove::remove_user,
        },
    },
};
use vpnmanager_nats::commands::Command;

use super::{at_rest, is_over, judge, review, set_quota, transfer, user};
use crate::database::{number, run};
use crate::ops::{audited, create, enrol, unpublish};
use crate::stack::{Stack, WithKey as _, json_of};

fn quota(bytes: i64, period: TrafficPeriod) -> Quota {
    Quota {
        bytes,
        period,
        reset_day: 1,
    }
}

fn own_quota(quota: Option<Quota>) -> UserChange {
    UserChange {
        limits: OwnLimitsChange {
            quota: Some(quota),
            ..OwnLimitsChange::default()
        },
        ..UserChange::default()
    }
}

fn in_group(group: &str) -> UserChange {
    UserChange {
        group: Some(group.parse().expect("the name of a group")),
        ..UserChange::default()
    }
}

async fn change(stack: &Stack, username: &str, change: UserChange) -> UserView {
    let username = username.parse().expect("a valid username");
    let changed = change_user(&stack.app, &Actor::system(), &username, change).await;
    changed.expect("changed")
}

/// The user gets a quota of its own that never ends, or has none any more.
async fn give(stack: &Stack, username: &str, bytes: Option<i64>) -> UserView {
    let quota = bytes.map(|bytes| quota(bytes, TrafficPeriod::Endless));
    change(stack, username, own_quota(quota)).await
}

/// Creates a user with so many bytes of its own that never end, or without an own quota, where no task runs.
async fn create_at_rest(stack: &Stack, username: &str, bytes: Option<i64>) {
    let rules = PlacementRules {
        nodes_per_user: 1,
        recorder: "management-test".to_owned(),
    };
    let new = NewUser {
        limits: OwnLimits {
            quota: bytes.map(|bytes| quota(bytes, TrafficPeriod::Endless)),
            ..OwnLimits::default()
        },
        ..NewUser::named(username.parse().expect("a valid username"), Actor::system())
    };
    for created in create_batch(&stack.app.db, &rules, vec![new]).await {
        created.expect("created");
    }
}

/// Of whom the commands that are due say that their traffic counts against a quota of their own.
async fn metered(stack: &Stack) -> Vec<String> {
    let claimed = claim(&stack.app.leases).await.expect("claimed").into_iter();
    let metered = claimed.filter_map(|claim| match claim.publication.command.body {
        Command::PutUser(put) => put.metered.then(|| put.username.to_string()),
        Command::RemoveUser(_) => None,
    });
    metered.collect()
}

#[tokio::test]
async fn who_is_created_with_an_own_quota_is_held_to_it_and_nodes_know_from_the_first_command_on() {
    let stack = at_rest(&[]).await;
    create_at_rest(&stack, "alice", Some(1_000)).await;
    create_at_rest(&stack, "bob", None).await;
    assert_eq!(metered(&stack).await, ["alice"]);
    transfer(&stack, "alice", 999, 0).await;
    judge(&stack, "alice").await;
    assert!(!is_over(&stack, "alice").await);
    transfer(&stack, "alice", 1, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
}

#[tokio::test]
async fn who_is_created_again_has_used_nothing_whatever_is_told_of_the_one_before() {
    let stack = at_rest(&["alice"]).await;
    give(&stack, "alice", Some(1_000)).await;
    transfer(&stack, "alice", 1_000, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
    let former = user(&stack, "alice").await.id;
    let username = "alice".parse().expect("a valid username");
    let removed = remove_user(&stack.app, &Actor::system(), &username).await;
    removed.expect("removed");

    create_at_rest(&stack, "alice", Some(1_000)).await;
    assert_ne!(user(&stack, "alice").await.id, former);
    let counted = read_counted(&stack.app.db, &user(&stack, "alice").await).await;
    assert_eq!(counted.expect("read").map(|counted| counted.used), Some(0));
    assert!(!is_over(&stack, "alice").await);
    transfer(&stack, "alice", 999, 0).await;
    judge(&stack, "alice").await;
    assert!(!is_over(&stack, "alice").await);

    let late = format!("UPDATE traffic_days SET bytes_in = bytes_in + 5000 WHERE user_id = {former}");
    run(&stack.app.db, &late).await;
    let counted = format!("SELECT sum(bytes_in + bytes_out) FROM traffic_days WHERE user_id = {former}");
    assert_eq!(number(&stack.app.db, &counted).await, 6_000);
    follow_traffic(&stack.app, &[former]).await.expect("judged");
    judge(&stack, "alice").await;
    assert!(!is_over(&stack, "alice").await, "it is another user's");

    transfer(&stack, "alice", 1, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
}

#[tokio::test]
async fn a_replica_that_starts_judges_more_than_one_batch_with_quotas_of_their_own() {
    let stack = at_rest(&[]).await;
    run(
        &stack.app.db,
        "INSERT INTO users (key, username, server_id, created_by, own_traffic_bytes, own_traffic_period, own_traffic_reset_day)
         SELECT gen_random_uuid(), 'user-' || n, 'node-1', 'test', 10, 'none', 1 FROM generate_series(1, 620) n;
         INSERT INTO users (key, username, server_id, created_by, own_traffic_bytes, own_traffic_period, own_traffic_reset_day, removed_at)
         VALUES (gen_random_uuid(), 'fewer', 'node-1', 'test', 10, 'none', 1, NULL),
             (gen_random_uuid(), 'gone', 'node-1', 'test', 10, 'none', 1, now());
         INSERT INTO traffic_days (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT (now() AT TIME ZONE 'UTC')::date, id, username, 'node-1', CASE username WHEN 'fewer' THEN 4 ELSE 5 END, 5, 1
         FROM users",
    )
    .await;
    let over = "SELECT count(*) FROM users WHERE over_quota_since IS NOT NULL";
    let others = "SELECT count(*) FROM users WHERE over_quota_since IS NOT NULL AND username IN ('fewer', 'gone')";
    for _again in 0..2 {
        review(&stack).await;
        assert_eq!(number(&stack.app.db, over).await, 620);
        assert_eq!(number(&stack.app.db, others).await, 0);
        assert_eq!(audited(&stack, AuditAction::UserOverQuota).await.len(), 620);
    }
}

#[tokio::test]
async fn an_own_quota_comes_before_that_of_the_group_whichever_is_lower() {
    let stack = at_rest(&["alice", "bob", "carol"]).await;
    set_quota(&stack, "default", 1_000, "none").await;
    give(&stack, "alice", Some(5_000)).await;
    give(&stack, "bob", Some(100)).await;
    for (name, bytes) in [("alice", 4_000), ("bob", 100), ("carol", 999)] {
        transfer(&stack, name, bytes, 0).await;
        judge(&stack, name).await;
    }
    assert!(!is_over(&stack, "alice").await);
    assert!(is_over(&stack, "bob").await);
    assert!(!is_over(&stack, "carol").await);

    // The 80 % are those of her own.
    let near = audited(&stack, AuditAction::UserNearQuota).await;
    let told: Vec<_> = near
        .iter()
        .map(|entry| (entry.username.as_deref(), entry.details.as_deref()))
        .collect();
    let alice = (Some("alice"), Some("4000 of 5000 bytes are used"));
    assert!(told.contains(&alice), "{told:?}");
    transfer(&stack, "alice", 1_000, 0).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
}

#[tokio::test]
async fn a_user_with_a_quota_of_its_own_is_judged_where_no_group_has_one() {
    let stack = at_rest(&["alice", "bob"]).await;
    give(&stack, "alice", Some(1_000)).await;
    for name in ["alice", "bob"] {
        transfer(&stack, name, 1_000, 0).await;
        judge(&stack, name).await;
    }
    assert!(is_over(&stack, "alice").await);
    assert!(!is_over(&stack, "bob").await);
    review(&stack).await;
    assert!(is_over(&stack, "alice").await, "nothing has changed");
}

#[tokio::test]
async fn an_own_quota_that_is_changed_refuses_and_lifts_at_once_and_the_trail_says_what_was_before() {
    let stack = at_rest(&["alice"]).await;
    transfer(&stack, "alice", 1_000, 0).await;
    let state = |view: &UserView| {
        let wanted: Vec<i64> = view.placements.iter().map(|placed| placed.wanted_revision).collect();
        assert_eq!(wanted, [view.user.revision]);
        (view.user.over_quota_since.is_some(), view.user.revision)
    };
    // Each change is a revision, and so is what follows from it.
    assert_eq!(state(&give(&stack, "alice", Some(5_000)).await), (false, 2));
    assert_eq!(state(&give(&stack, "alice", Some(5_000)).await), (false, 2));
    assert_eq!(state(&give(&stack, "alice", Some(1_000)).await), (true, 4));
    assert_eq!(state(&give(&stack, "alice", Some(1_001)).await), (false, 6));
    assert_eq!(state(&give(&stack, "alice", Some(500)).await), (true, 8));
    assert_eq!(state(&give(&stack, "alice", None).await), (false, 10));
    set_quota(&stack, "default", 1_000, "none").await;
    review(&stack).await;
    assert!(is_over(&stack, "alice").await);
    assert_eq!(state(&give(&stack, "alice", Some(2_000)).await), (false, 13));

    let own = |bytes: i64| json!({ "traffic": { "bytes": bytes, "period": "none", "reset_day": 1 } });
    let limits = |state: &Option<Value>| state.as_ref().expect("a state")["limits"].clone();
    let changed = audited(&stack, AuditAction::UserChanged).await;
    let told: Vec<(Value, Value)> = changed
        .iter()
        .map(|entry| (limits(&entry.before), limits(&entry.after)))
        .collect();
    assert_eq!(
        told,
        [
            (json!({}), own(5_000)),
            (own(5_000), own(1_000)),
            (own(1_000), own(1_001)),
            (own(1_001), own(500)),
            (own(500), json!({})),
            (json!({}), own(2_000)),
        ]
    );
    let lifted = audited(&stack, AuditAction::UserQuotaLifted).await;
    let details: Vec<&str> = lifted.iter().filter_map(|entry| entry.details.as_deref()).collect();
    assert_eq!(
        details,
        [
            "1000 of 1001 bytes are used",
            "the group default has no quota",
            "1000 of 2000 bytes are used"
        ]
    );
}

#[tokio::test]
async fn another_group_changes_nothing_for_who_has_a_quota_of_its_own() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "sales", 10, "none").await;
    give(&stack, "alice", Some(5_000)).await;
    transfer(&stack, "alice", 1_000, 0).await;
    let moved = change(&stack, "alice", in_group("sales")).await;
    assert!(moved.user.over_quota_since.is_none());
    review(&stack).await;
    assert!(!is_over(&stack, "alice").await);
}

#[tokio::test]
async fn an_own_period_turns_by_itself() {
    let stack = at_rest(&["alice"]).await;
    give(&stack, "alice", Some(1_000)).await;
    transfer(&stack, "alice", 1_000, 2).await;
    judge(&stack, "alice").await;
    assert!(is_over(&stack, "alice").await);
    // As if the days were over that she used it on.
    run(&stack.app.db, "UPDATE users SET own_traffic_period = 'day'").await;
    review(&stack).await;
    assert!(!is_over(&stack, "alice").await);
    let lifted = audited(&stack, AuditAction::UserQuotaLifted).await;
    let details = lifted[0].details.as_deref().unwrap_or_default();
    assert!(details.starts_with("0 of 1000 bytes are used since 20"), "{details}");
}

/// A replica may have died between a change and its judgement.
#[tokio::test]
async fn a_replica_that_starts_judges_all_with_a_quota_of_their_own() {
    let stack = at_rest(&["alice"]).await;
    transfer(&stack, "alice", 1_000, 0).await;
    let own = "UPDATE users SET own_traffic_bytes = 1000, own_traffic_period = 'none', own_traffic_reset_day = 1";
    run(&stack.app.db, own).await;
    review(&stack).await;
    assert!(is_over(&stack, "alice").await);
}

#[tokio::test]
async fn nodes_are_told_whose_traffic_counts_against_a_quota_of_its_own() {
    let stack = at_rest(&["alice", "bob"]).await;
    let metered_now = async || {
        unpublish(&stack).await;
        metered(&stack).await
    };
    let nobody: [&str; 0] = [];
    assert_eq!(metered_now().await, nobody);
    // What its group has, the group says.
    set_quota(&stack, "default", 1_000, "none").await;
    assert_eq!(metered_now().await, nobody);
    give(&stack, "alice", Some(5_000)).await;
    assert_eq!(metered_now().await, ["alice"]);
    give(&stack, "alice", None).await;
    assert_eq!(metered_now().await, nobody);
}

#[tokio::test]
async fn what_is_used_of_an_own_quota_is_shown_and_forgiven() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    give(&stack, "alice", Some(1_000)).await;
    transfer(&stack, "alice", 1_200, 0).await;
    judge(&stack, "alice").await;
    let shown = stack.client().get("/api/users/alice").admin().send().await;
    let shown = json_of(shown, StatusCode::OK).await;
    assert_eq!(
        (&shown["traffic"], &shown["over_quota"]),
        (&json!({ "used": 1_200, "quota": 1_000 }), &json!(true))
    );
    let client = stack.client();
    let forgiven = client.post("/api/users/alice/traffic/forgive").admin().send().await;
    assert_eq!(json_of(forgiven, StatusCode::OK).await["over_quota"], false);
    assert_eq!(user(&stack, "alice").await.traffic_forgiven, 1_200);
}

#[tokio::test]
async fn what_was_forgiven_of_a_longer_period_is_no_credit_in_a_shorter_one() {
    for shorter in [own_quota(Some(quota(1_000, TrafficPeriod::Day))), in_group("sales")] {
        let stack = at_rest(&["alice"]).await;
        set_quota(&stack, "default", 1_000, "none").await;
        set_quota(&stack, "sales", 1_000, "day").await;
        transfer(&stack, "alice", 5_000, 3).await;
        transfer(&stack, "alice", 100, 0).await;
        judge(&stack, "alice").await;
        let username = "alice".parse().expect("a valid username");
        let forgiven = forgive_traffic(&stack.app, &Actor::system(), &username).await;
        assert_eq!(forgiven.expect("forgiven").user.traffic_forgiven, 5_100);

        let changed = change(&stack, "alice", shorter.clone()).await;
        assert_eq!(changed.user.traffic_forgiven, 100, "{shorter:?}");
        transfer(&stack, "alice", 999, 0).await;
        judge(&stack, "alice").await;
        assert!(!is_over(&stack, "alice").await, "{shorter:?}");
        transfer(&stack, "alice", 1, 0).await;
        judge(&stack, "alice").await;
        assert!(is_over(&stack, "alice").await, "{shorter:?}");
    }
}

/// A replica may have died between a change and its judgement, and whoever asked asks again.
#[tokio::test]
async fn a_change_that_names_what_holds_already_judges_once_more() {
    let own = "UPDATE users SET own_traffic_bytes = 1000, own_traffic_period = 'none', own_traffic_reset_day = 1";
    let of_group = "UPDATE groups SET traffic_bytes = 1000, traffic_period = 'none' WHERE name = 'default'";
    for (held, same) in [
        (own, own_quota(Some(quota(1_000, TrafficPeriod::Endless)))),
        (of_group, in_group("default")),
    ] {
        let stack = at_rest(&["alice"]).await;
        transfer(&stack, "alice", 1_000, 0).await;
        run(&stack.app.db, held).await;
        let other = UserChange {
            active: Some(true),
            ..UserChange::default()
        };
        let unnamed = change(&stack, "alice", other).await;
        assert!(unnamed.user.over_quota_since.is_none(), "{held}");
        let named = change(&stack, "alice", same).await;
        assert!(named.user.over_quota_since.is_some(), "{held}");
        assert_eq!(named.user.revision, unnamed.user.revision + 1, "{held}");
    }
}

#[tokio::test]
async fn a_change_whose_judgement_fails_is_made_and_the_review_judges() {
    let stack = at_rest(&["alice"]).await;
    transfer(&stack, "alice", 1_000, 0).await;
    let mut replica = Review::default();
    replica.run(&stack.app).await.expect("reviewed");
    let fails = "ALTER TABLE users ADD CONSTRAINT nobody_is_over CHECK (over_quota_since IS NULL)";
    run(&stack.app.db, fails).await;

    let changed = give(&stack, "alice", Some(1_000)).await;
    assert_eq!(
        (changed.user.own_traffic_bytes, changed.user.over_quota_since),
        (Some(1_000), None)
    );
    assert!(replica.run(&stack.app).await.is_err());
    run(&stack.app.db, "ALTER TABLE users DROP CONSTRAINT nobody_is_over").await;
    replica.run(&stack.app).await.expect("reviewed");
    assert!(is_over(&stack, "alice").await);
}

#[tokio::test]
async fn the_trail_says_of_each_quota_that_most_of_it_is_used() {
    let stack = at_rest(&["alice"]).await;
    set_quota(&stack, "sales", 1_010, "none").await;
    give(&stack, "alice", Some(1_000)).await;
    transfer(&stack, "alice", 850, 0).await;
    judge(&stack, "alice").await;
    let mut near = Vec::new();
    for other in [
        own_quota(Some(quota(1_050, TrafficPeriod::Endless))),
        // The same quota holds.
        in_group("sales"),
        own_quota(None),
    ] {
        change(&stack, "alice", other).await;
        near.push(audited(&stack, AuditAction::UserNearQuota).await.len());
    }
    assert_eq!(near, [2, 2, 3]);
}
