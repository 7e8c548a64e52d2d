//! Lists of users put many of them into groups.

use poem::http::StatusCode;
use serde_json::{Value, json};

use super::{change, change_user, create_user, get, make};
use crate::api_bulk::{batch, counts, export, import};
use crate::stack::{Stack, json_of};

async fn group_of(stack: &Stack, username: &str) -> Value {
    get(stack, &format!("/api/users/{username}")).await["group"].clone()
}

/// A fleet with a node and the groups `sales` and `guests`, whose members have access for 12 hours.
async fn fleet() -> Stack {
    let stack = Stack::start().await;
    stack.enrol_in("node-1", "default").await;
    make(&stack, "sales", json!({})).await;
    make(&stack, "guests", json!({ "lifetime": "12h" })).await;
    stack
}

#[tokio::test]
async fn a_batch_puts_users_into_groups_and_may_be_sent_again() {
    let stack = fleet().await;
    let items = json!([
        { "action": "create", "username": "alice", "group": "sales" },
        { "action": "create", "username": "bob", "group": "guests" },
        { "action": "create", "username": "carol" },
        { "action": "create", "username": "dave", "group": "nothing" },
        { "action": "create", "username": "erin", "group": "Sales" },
    ]);
    let answer = batch(&stack, items.clone()).await;
    assert_eq!(counts(&answer), [3, 0, 0, 0, 2], "{answer}");
    for (index, status, detail) in [
        (3, 409, "there is no group nothing"),
        (4, 400, "the name of a group must be 1 to 32 characters"),
    ] {
        let result = &answer["results"][index];
        assert_eq!(
            (&result["status"], &result["error"]["field"]),
            (&json!(status), &json!("group"))
        );
        let said = result["error"]["detail"].as_str().expect("a detail");
        assert!(said.starts_with(detail), "{said}");
    }
    let again = batch(&stack, items.clone()).await;
    assert_eq!(counts(&again), [0, 0, 0, 3, 2], "{again}");
    // What the group said of the end when they were created stays so.
    for lifetime in [json!("7days"), json!(null)] {
        let changed = change(&stack, "guests", &json!({ "lifetime": lifetime })).await;
        json_of(changed, StatusCode::OK).await;
        let again = batch(&stack, items.clone()).await;
        assert_eq!(counts(&again), [0, 0, 0, 3, 2], "{again}");
    }

    // A user who is there in another group is another one than is wanted.
    let other = batch(
        &stack,
        json!([
            { "action": "create", "username": "alice" },
            { "action": "create", "username": "bob", "group": "guests", "expires_at": null },
            { "action": "create", "username": "carol", "group": "sales" },
        ]),
    )
    .await;
    assert_eq!(counts(&other), [0, 0, 0, 0, 3], "{other}");

    let moved = json!([
        { "action": "change", "username": "alice", "group": "guests" },
        { "action": "change", "username": "carol", "group": "default" },
        { "action": "remove", "username": "bob", "group": "guests" },
    ]);
    let moved = batch(&stack, moved).await;
    assert_eq!(counts(&moved), [0, 1, 0, 1, 1], "{moved}");
    assert_eq!(moved["results"][2]["error"]["field"], "group");
    assert_eq!(group_of(&stack, "alice").await, "guests");
}

#[tokio::test]
async fn a_csv_file_has_a_column_for_the_group_in_and_out() {
    let (old, new) = (fleet().await, fleet().await);
    let text = "username,group,expires_at,action\n\
                alice,sales,,\n\
                bob,guests,never,\n\
                carol,guests,,\n\
                dave,,,\n\
                erin,nothing,,\n\
                alice,guests,,change\n";
    let answer = import(&old, text).await;
    assert_eq!(counts(&answer), [4, 1, 0, 0, 1], "{answer}");
    let failure = &answer["failures"][0];
    assert_eq!(
        (&failure["line"], &failure["error"]["field"]),
        (&json!(6), &json!("group"))
    );

    let exported = export(&old, "").await;

    assert!(exported.contains("\r\nalice,true,never,node-1,guests,"), "{exported}");
    assert!(exported.contains("\r\nbob,true,never,node-1,guests,"), "{exported}");
    assert!(exported.contains("\r\ndave,true,never,node-1,default,"), "{exported}");
    assert_eq!(export(&old, "?group=guests").await.lines().count(), 1 + 3);
    assert_eq!(counts(&import(&new, &exported).await), [4, 0, 0, 0, 0]);
    assert_eq!(counts(&import(&new, &exported).await), [0, 0, 0, 4, 0]);
    for username in ["alice", "bob", "carol", "dave"] {
        let path = format!("/api/users/{username}");
        let (old, new) = (get(&old, &path).await, get(&new, &path).await);
        assert_eq!(
            (&old["group"], &old["expires_at"]),
            (&new["group"], &new["expires_at"]),
            "{username}"
        );
    }
}

/// A change of the group moves nobody, so a user's home may be outside the pool of her group. No new user is placed so.
#[tokio::test]
async fn who_lives_outside_the_pool_of_her_group_is_imported_elsewhere_without_the_server() {
    let fleet = async || {
        let stack = Stack::start().await;
        stack.enrol_in("node-1", "default").await;
        stack.enrol_in("node-2", "offices").await;
        make(&stack, "sales", json!({ "pool": "offices" })).await;
        stack
    };
    let (old, new) = (fleet().await, fleet().await);
    let alice = json!({ "username": "alice" });
    json_of(create_user(&old, &alice).await, StatusCode::CREATED).await;
    let moved = change_user(&old, "alice", &json!({ "group": "sales" })).await;
    json_of(moved, StatusCode::OK).await;
    let exported = export(&old, "").await;
    assert!(exported.contains("\r\nalice,true,never,node-1,sales,"), "{exported}");

    assert_eq!(counts(&import(&old, &exported).await), [0, 0, 0, 1, 0]);
    let refused = import(&new, &exported).await;
    assert_eq!(counts(&refused), [0, 0, 0, 0, 1], "{refused}");
    let failure = &refused["failures"][0];
    assert_eq!(
        (&failure["status"], &failure["error"]["field"]),
        (&json!(409), &json!("server_id"))
    );
    let without = exported.replace(",node-1,", ",,");
    assert_eq!(counts(&import(&new, &without).await), [1, 0, 0, 0, 0]);
    assert_eq!(get(&new, "/api/users/alice").await["server_id"], "node-2");
}
