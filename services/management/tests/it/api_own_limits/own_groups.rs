//! The groups that stand for own values of users: when they are made, when they go, and how many there are.

use futures_util::future::join_all;
use poem::http::{Method, StatusCode};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction, own_rules::OwnRulesChange},
    ops::{
        groups::remove_unused_own::remove_unused_own_groups,
        users::{
            change::{UserChange, change_user},
            mend_own_groups::mend_own_groups,
            remove::remove_user,
        },
    },
};

use super::{alice, as_rules, change, create, down, fleet, get, make, post, rules_of, send, told};
use crate::{
    database::{connect, number, run, until},
    ops::audited,
    stack::{Stack, json_of, problem_of},
};

/// A user who is this slow.
fn slow(kilobits: u32) -> Value {
    json!({ "limits": { "speed": { "down": kilobits } } })
}

/// Changes own rules of a user, without what only a request needs.
async fn set(stack: &Stack, username: &str, rules: OwnRulesChange) -> Value {
    let change = UserChange {
        rules,
        ..UserChange::default()
    };
    let username = username.parse().expect("a username");
    let changed = change_user(&stack.app, &Actor::system(), &username, change).await;
    json!(changed.expect("changed").user.own_group)
}

async fn take_away(stack: &Stack, username: &str) {
    let path = format!("/api/users/{username}");
    let taken = send(stack, Method::PATCH, &path, &json!({ "limits": null })).await;
    json_of(taken, StatusCode::OK).await;
}

/// The speeds of the groups that stand for own values.
async fn speeds(stack: &Stack) -> Vec<u32> {
    let (_, groups) = told(stack).await;
    let own = groups.iter().filter(|group| group.name.as_str().starts_with("own-"));
    let mut speeds: Vec<u32> = own.filter_map(|group| group.rules.down).map(u32::from).collect();
    speeds.sort_unstable();
    speeds
}

/// Housekeeping, now and when two hours are over.
async fn housekeep_twice(stack: &Stack) {
    let (app, db) = (&stack.app, &stack.app.db);
    remove_unused_own_groups(app).await.expect("looked");
    run(
        db,
        "UPDATE own_groups SET unused_since = unused_since - interval '2 hours'",
    )
    .await;
    remove_unused_own_groups(app).await.expect("removed");
}

/// All nodes have applied all.
async fn settle(stack: &Stack) {
    run(
        &stack.app.db,
        "UPDATE placements SET applied_revision = wanted_revision",
    )
    .await;
}

#[tokio::test]
async fn a_group_for_own_rules_goes_when_nobody_has_had_it_for_an_hour() {
    let stack = fleet().await;
    make(&stack, "alice", slow(64)).await;
    make(&stack, "bob", slow(128)).await;
    stack.end_tasks().await;
    let (app, db) = (&stack.app, &stack.app.db);
    settle(&stack).await;
    set(&stack, "bob", OwnRulesChange::NONE_LEFT).await;
    // Whoever made it may not have used it yet.
    run(db, "UPDATE own_groups SET created_at = now() - interval '2 hours'").await;
    let (before, _) = told(&stack).await;
    remove_unused_own_groups(app).await.expect("looked");
    assert_eq!(told(&stack).await.0, before);

    housekeep_twice(&stack).await;
    assert_eq!(
        speeds(&stack).await,
        [64, 128],
        "a node may have bob in it, and holds him to it"
    );
    settle(&stack).await;
    for _ in 0..2 {
        remove_unused_own_groups(app).await.expect("removed");
        assert_eq!((told(&stack).await.0, speeds(&stack).await), (before + 1, vec![64]));
    }
}

#[tokio::test]
async fn a_user_who_is_removed_counts_until_its_nodes_have_confirmed_that() {
    let stack = fleet().await;
    let made = make(&stack, "alice", slow(64)).await;
    stack.end_tasks().await;
    let (app, db) = (&stack.app, &stack.app.db);
    settle(&stack).await;
    let username = "alice".parse().expect("a username");
    remove_user(app, &Actor::system(), &username).await.expect("removed");
    settle(&stack).await;
    housekeep_twice(&stack).await;
    assert_eq!(rules_of(&stack, &made).await, as_rules(json!({ "down": 64 })));
    run(
        db,
        "UPDATE users SET own_rules = NULL, own_group = NULL; UPDATE servers SET prompt_since = NULL",
    )
    .await;
    housekeep_twice(&stack).await;
    assert!(speeds(&stack).await.is_empty());
    let asked = "SELECT count(*) FROM servers WHERE prompt_since IS NOT NULL";
    assert_eq!(number(db, asked).await, 1, "the node is asked for a handshake");
    run(db, "UPDATE servers SET prompt_since = NULL").await;
    housekeep_twice(&stack).await;
    assert_eq!(number(db, asked).await, 0);
}

#[tokio::test]
async fn who_gets_the_same_own_rules_again_has_their_group_made_again() {
    let stack = fleet().await;
    let made = make(&stack, "alice", slow(64)).await;
    stack.end_tasks().await;
    let (app, db) = (&stack.app, &stack.app.db);
    set(&stack, "alice", OwnRulesChange::NONE_LEFT).await;
    settle(&stack).await;
    housekeep_twice(&stack).await;
    assert!(speeds(&stack).await.is_empty());

    assert_eq!(set(&stack, "alice", down(64)).await, made["node_group"]);

    run(db, "UPDATE own_groups SET unused_since = now() - interval '2 hours'").await;
    remove_unused_own_groups(app).await.expect("looked");
    let unused = "SELECT count(*) FROM own_groups WHERE unused_since IS NOT NULL";
    assert_eq!((speeds(&stack).await, number(db, unused).await), (vec![64], 0));
}

#[tokio::test]
async fn groups_and_those_for_own_rules_are_64_together_at_most() {
    let stack = fleet().await;
    let others = "INSERT INTO groups (name) SELECT 'group-' || n FROM generate_series(1, 61) n";
    run(&stack.app.db, others).await;
    make(&stack, "alice", slow(64)).await;
    let mut slower = slow(128);
    slower["username"] = json!("bob");

    let refused = [
        create(&stack, &slower).await,
        change(&stack, &json!({ "limits": slower["limits"] })).await,
        post(&stack, "/api/groups", &json!({ "name": "stores" })).await,
    ];

    for answer in refused {
        let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
        assert!(fields.is_empty(), "{problem}");
        let said = problem["detail"].as_str().expect("a detail");
        let expected = "there are 63 groups, and 1 that stand for own reach, routes and speed of users, and no fleet has more than 64 together";
        assert!(said.starts_with(expected), "{said}");
    }
    make(&stack, "bob", slow(64)).await;
    assert_eq!(alice(&stack).await["limits"], slow(64)["limits"]);
}

/// As after many tries with other values.
#[tokio::test]
async fn groups_that_nobody_has_make_room_for_as_many_as_are_needed() {
    let stack = fleet().await;
    let others = "INSERT INTO groups (name) SELECT 'group-' || n FROM generate_series(1, 60) n";
    run(&stack.app.db, others).await;
    make(&stack, "alice", slow(64)).await;
    make(&stack, "bob", slow(128)).await;
    for username in ["alice", "bob"] {
        take_away(&stack, username).await;
    }
    let since = "UPDATE own_groups SET unused_since = now() WHERE rules->>'down' = '64';
                 UPDATE own_groups SET unused_since = now() - interval '1 minute' WHERE rules->>'down' = '128'";
    run(&stack.app.db, since).await;

    let made = post(&stack, "/api/groups", &json!({ "name": "stores" })).await;
    json_of(made, StatusCode::CREATED).await;
    assert_eq!(
        speeds(&stack).await,
        [64],
        "that which nobody has had for longest is gone"
    );
    make(&stack, "carol", slow(256)).await;
    assert_eq!(speeds(&stack).await, [256]);

    let mut another = slow(512);
    another["username"] = json!("dave");
    let (problem, _) = problem_of(create(&stack, &another).await, StatusCode::CONFLICT).await;
    let said = problem["detail"].as_str().expect("a detail");
    assert!(said.starts_with("there are 63 groups, and 1 that stand for"), "{said}");
    assert_eq!(speeds(&stack).await, [256], "she has it");
}

#[tokio::test]
async fn no_group_is_made_for_who_cannot_be_created() {
    let stack = fleet().await;
    make(&stack, "alice", json!({})).await;
    let wanted = |wish: Value| {
        let mut body = slow(64);
        body["username"] = json!("bob");
        let fields = wish.as_object().expect("fields").clone();
        body.as_object_mut().expect("a body").extend(fields);
        body
    };
    // Also when there is no room.
    for others in [0, 62] {
        let fill = format!("INSERT INTO groups (name) SELECT 'group-' || n FROM generate_series(1, {others}) n");
        run(&stack.app.db, &fill).await;
        for (wish, field) in [
            (json!({ "username": "alice" }), "username"),
            (json!({ "server_id": "node-9" }), "server_id"),
            (json!({ "group": "stores" }), "group"),
        ] {
            let answer = create(&stack, &wanted(wish)).await;
            let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
            assert_eq!(fields, [field], "{problem}");
        }
    }
    assert_eq!(number(&stack.app.db, "SELECT count(*) FROM own_groups").await, 0);
    assert_eq!(told(&stack).await.0, 2, "no node is asked for a handshake");
}

#[tokio::test]
async fn many_who_want_a_new_group_leave_the_database_to_others_while_they_wait() {
    let stack = fleet().await;
    // As another replica that changes a group.
    let other = connect(stack.config.database.connection_url().expose_secret()).await;
    let lock = other.begin().await.expect("begun");
    let locked = lock
        .execute_unprepared("SELECT pg_advisory_xact_lock(7816539210442)")
        .await;
    locked.expect("locked");

    let creates = (0..48).map(|number| {
        let stack = &stack;
        async move { make(stack, &format!("user-{number}"), slow(64)).await }
    });
    let others = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until(&other, "somebody waits", waiting).await;
        for _ in 0..10 {
            get(&stack, "/api/users").await;
        }
        lock.rollback().await.expect("rolled back");
    };
    let (made, ()) = tokio::join!(join_all(creates), others);

    assert_eq!(made.len(), 48);
    assert_eq!(speeds(&stack).await, [64]);
    assert_eq!(told(&stack).await.0, 3, "default, sales, and one for all of them");
}

/// A replica of a release before own rules counts the groups of operators alone.
#[tokio::test]
async fn nodes_are_told_of_no_more_groups_than_they_read_and_of_those_of_operators_first() {
    let stack = fleet().await;
    let made = make(&stack, "alice", slow(64)).await;
    let others = "INSERT INTO groups (name) SELECT 'z-' || n FROM generate_series(1, 62) n";
    run(&stack.app.db, others).await;

    let (_, groups) = told(&stack).await;

    assert_eq!(groups.len(), 64);
    let is_there = |name: &Value| groups.iter().any(|group| *name == group.name.as_str());
    assert!(!is_there(&made["node_group"]) && is_there(&json!("z-62")), "{groups:?}");
    assert!(groups.is_sorted_by(|one, other| one.name < other.name), "{groups:?}");
}

/// A replica of a release before own rules puts a user into another group, and knows nothing of the rest.
#[tokio::test]
async fn the_next_change_mends_what_an_older_replica_left() {
    let stack = fleet().await;
    let made = make(&stack, "alice", slow(64)).await;
    run(&stack.app.db, "UPDATE users SET group_name = 'sales'").await;

    let mended = json_of(change(&stack, &json!({ "group": "sales" })).await, StatusCode::OK).await;

    assert_ne!(mended["node_group"], made["node_group"]);
    assert_eq!(mended["revision"], 2);
    let base = "SELECT count(*) FROM users u JOIN own_groups o ON o.name = u.own_group AND o.group_name = 'sales'";
    assert_eq!(number(&stack.app.db, base).await, 1);
}

#[tokio::test]
async fn housekeeping_mends_what_an_older_replica_left() {
    let stack = fleet().await;
    let made = make(&stack, "alice", slow(64)).await;
    let mut of_sales = slow(128);
    of_sales["group"] = json!("sales");
    make(&stack, "bob", of_sales).await;
    make(&stack, "carol", slow(64)).await;
    stack.end_tasks().await;
    let (app, db) = (&stack.app, &stack.app.db);
    // It moved alice, and deleted the group of bob and made it again.
    let left = "UPDATE users SET group_name = 'sales' WHERE username = 'alice'; DELETE FROM own_groups WHERE group_name = 'sales'";
    run(db, left).await;

    for _ in 0..2 {
        assert!(
            !mend_own_groups(app).await.expect("mended"),
            "nobody else is to be mended"
        );

        let right =
            "SELECT count(*) FROM users u JOIN own_groups o ON o.name = u.own_group AND o.group_name = u.group_name";
        assert_eq!(number(db, right).await, 3);
        // What nodes know of bob and carol is right.
        assert_eq!(number(db, "SELECT sum(revision) FROM users").await, 4);
        let trail = audited(&stack, AuditAction::UserChanged).await;
        let [entry] = trail.as_slice() else {
            panic!("one entry: {trail:?}");
        };
        assert_eq!(
            (entry.actor.as_str(), entry.username.as_deref()),
            ("system", Some("alice"))
        );
        let before = entry.before.as_ref().expect("a state");
        assert_eq!(
            (&before["group"], &before["node_group"]),
            (&json!("sales"), &made["node_group"])
        );
        let after = entry.after.as_ref().expect("a state");
        assert_eq!(rules_of(&stack, after).await, as_rules(json!({ "down": 64 })));
        assert_ne!(after["node_group"], made["node_group"]);
    }
}

#[tokio::test]
async fn a_group_that_is_deleted_takes_those_for_own_rules_of_its_users_along() {
    let stack = fleet().await;
    let limits = json!({ "speed": { "down": 64 } });
    make(&stack, "alice", json!({ "group": "sales", "limits": limits })).await;
    let delete = async || send(&stack, Method::DELETE, "/api/groups/sales", &json!({})).await;
    problem_of(delete().await, StatusCode::CONFLICT).await;
    json_of(change(&stack, &json!({ "group": "default" })).await, StatusCode::OK).await;
    let of_sales = "SELECT count(*) FROM own_groups WHERE group_name = 'sales'";
    assert_eq!(number(&stack.app.db, of_sales).await, 1);

    delete().await.assert_status(StatusCode::NO_CONTENT);

    assert_eq!(number(&stack.app.db, of_sales).await, 0);
    assert_eq!(told(&stack).await.1.len(), 2, "default, and that of alice");
}
