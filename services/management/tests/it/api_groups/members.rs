//! Who is in a group: users are put into it, found by it, counted, and keep it from being deleted.

use poem::http::{Method, StatusCode};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction},
    ops::groups::remove::{RemoveGroupError, remove_group},
};

use super::{change_user, create_user, delete, get, make, send};
use crate::{
    database::until,
    ops::audited,
    stack::{Stack, WithKey as _, json_of, problem_of},
};

async fn usernames(stack: &Stack, query: &str) -> Vec<Value> {
    let listed = get(stack, &format!("/api/users{query}")).await;
    let items = listed["items"].as_array().expect("items").iter();
    items.map(|user| user["username"].clone()).collect()
}

async fn users_of(stack: &Stack, group: &str) -> Value {
    get(stack, &format!("/api/groups/{group}")).await["users"].clone()
}

#[tokio::test]
async fn a_user_is_in_default_or_in_the_group_that_is_named_and_may_change() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    make(&stack, "sales", json!({})).await;
    let alice = create_user(&stack, &json!({ "username": "alice" })).await;
    assert_eq!(json_of(alice, StatusCode::CREATED).await["group"], "default");
    let bob = create_user(&stack, &json!({ "username": "bob", "group": "sales" })).await;
    assert_eq!(json_of(bob, StatusCode::CREATED).await["group"], "sales");
    assert_eq!(usernames(&stack, "?group=sales").await, ["bob"]);
    assert_eq!(usernames(&stack, "?group=default").await, ["alice"]);
    assert_eq!(usernames(&stack, "?group=nothing").await, Vec::<Value>::new());
    assert_eq!(users_of(&stack, "sales").await, 1);
    assert_eq!(users_of(&stack, "default").await, 1);

    for revision in [2, 2] {
        let moved = change_user(&stack, "alice", &json!({ "group": "sales" })).await;
        let moved = json_of(moved, StatusCode::OK).await;
        assert_eq!(
            (&moved["group"], &moved["revision"], &moved["synced"]),
            (&json!("sales"), &json!(revision), &json!(false))
        );
        assert_eq!(moved["nodes"][0]["wanted_revision"], revision);
    }
    assert_eq!(usernames(&stack, "?group=sales").await, ["alice", "bob"]);
    assert_eq!(usernames(&stack, "?group=sales&username=al").await, ["alice"]);
    assert_eq!(users_of(&stack, "default").await, 0);
    assert_eq!(users_of(&stack, "sales").await, 2);
    let listed = get(&stack, "/api/groups").await;
    assert_eq!(
        (&listed["items"][0]["users"], &listed["items"][1]["users"]),
        (&json!(0), &json!(2))
    );

    let back = change_user(&stack, "bob", &json!({ "group": "default", "active": false })).await;
    assert_eq!(json_of(back, StatusCode::OK).await["group"], "default");
    let group = |state: &Option<Value>| state.as_ref().expect("a state")["group"].clone();
    let changed = audited(&stack, AuditAction::UserChanged).await;
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (group(&changed[0].before), group(&changed[0].after)),
        (json!("default"), json!("sales"))
    );
    let suspended = audited(&stack, AuditAction::UserSuspended).await;
    assert_eq!(group(&suspended[0].after), "default");
    let created = audited(&stack, AuditAction::UserCreated).await;
    assert_eq!(group(&created[1].after), "sales");
}

#[tokio::test]
async fn a_group_that_there_is_not_is_named() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    create_user(&stack, &json!({ "username": "alice" })).await;
    let answers = [
        create_user(&stack, &json!({ "username": "bob", "group": "sales" })).await,
        change_user(&stack, "alice", &json!({ "group": "sales", "active": false })).await,
    ];
    for answer in answers {
        let (problem, fields) = problem_of(answer, StatusCode::CONFLICT).await;
        assert_eq!(fields, ["group"]);
        assert_eq!(problem["errors"][0]["detail"], "there is no group sales");
    }
    for group in ["Sales", "", "a b"] {
        let body = json!({ "username": "bob", "group": group });
        let answer = create_user(&stack, &body).await;
        assert_eq!(
            problem_of(answer, StatusCode::BAD_REQUEST).await.1,
            ["group"],
            "{group}"
        );
    }
    let path = "/api/users?group=Sales";
    let answer = stack.client().get(path).admin().send().await;
    assert_eq!(problem_of(answer, StatusCode::BAD_REQUEST).await.1, ["group"]);
    let alice = get(&stack, "/api/users/alice").await;
    assert_eq!((&alice["active"], &alice["revision"]), (&json!(true), &json!(1)));
    assert_eq!(usernames(&stack, "").await, ["alice"]);
}

#[tokio::test]
async fn a_group_with_users_is_kept_and_says_how_many_there_are() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    make(&stack, "sales", json!({})).await;
    for username in ["alice", "bob"] {
        let body = json!({ "username": username, "group": "sales" });
        json_of(create_user(&stack, &body).await, StatusCode::CREATED).await;
    }
    let refusal = async |begin: &str| {
        let (problem, _) = problem_of(delete(&stack, "sales").await, StatusCode::CONFLICT).await;
        let said = problem["detail"].as_str().expect("a detail");
        assert!(said.starts_with(begin), "{said}");
    };
    refusal("2 users are in the group: put each into another one").await;
    json_of(
        change_user(&stack, "alice", &json!({ "group": "default" })).await,
        StatusCode::OK,
    )
    .await;
    refusal("1 user is in the group").await;

    // Who is removed counts no more, although the node has not confirmed it.
    let removed = send(&stack, Method::DELETE, "/api/users/bob", &json!({})).await;
    json_of(removed, StatusCode::OK).await;
    delete(&stack, "sales").await.assert_status(StatusCode::NO_CONTENT);
    assert_eq!(users_of(&stack, "default").await, 1);
}

#[tokio::test]
async fn a_group_that_a_user_is_just_put_into_is_not_deleted() {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    make(&stack, "sales", json!({})).await;
    json_of(
        create_user(&stack, &json!({ "username": "alice" })).await,
        StatusCode::CREATED,
    )
    .await;
    let (db, name) = (&stack.app.db, "sales".parse().expect("a name"));
    // As a change of the user does it.
    let change = db.begin().await.expect("begun");
    let hold = "SELECT id FROM groups WHERE name = 'sales' FOR KEY SHARE";
    change.execute_unprepared(hold).await.expect("held");
    let put = "UPDATE users SET group_name = 'sales' WHERE username = 'alice'";
    change.execute_unprepared(put).await.expect("put");
    let meanwhile = async {
        until(
            db,
            "the removal to wait",
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
             AND query LIKE '%groups%'",
        )
        .await;
        change.commit().await.expect("committed");
    };

    let actor = Actor::system();
    let (removed, ()) = tokio::join!(remove_group(&stack.app, &actor, &name), meanwhile);

    assert!(matches!(removed, Err(RemoveGroupError::InUse(1))), "{removed:?}");
}
