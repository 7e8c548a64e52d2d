//! Groups are created, read, listed, changed and deleted.

use poem::http::StatusCode;
use serde_json::{Value, json};
use vpnmanager_management::domain::audit_action::AuditAction;
use vpnmanager_nats::groups::MOST_GROUPS;

use super::{change, create, delete, get, make};
use crate::{
    database::run,
    ops::audited,
    stack::{Stack, WithKey as _, json_of, problem_of},
};

#[tokio::test]
async fn a_group_is_created_read_changed_and_deleted() {
    let stack = Stack::start().await;
    let body = json!({
        "name": "sales",
        "pool": "default",
        "reach": [
            { "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["443", "8000-8100"] },
            { "protocol": "icmp" },
        ],
        "routes": ["10.30.0.0/16", "2001:db8:30::/48"],
        "speed": { "up": 10_000, "down": 50_000 },
        "devices": 3,
        "sessions": 2,
        "session_excess": "newest_ends",
        "lifetime": "2160h",
    });
    let response = create(&stack, &body).await;
    response.assert_header("location", "/api/groups/sales");
    let made = json_of(response, StatusCode::CREATED).await;
    let told = |group: &Value| {
        let mut told = group.clone();
        for time in ["created_at", "changed_at"] {
            let time = told.as_object_mut().expect("an object").remove(time);
            assert!(time.is_some_and(|time| time.is_string()), "{group}");
        }
        told
    };
    let expected = json!({
        "name": "sales",
        "revision": 1,
        "pool": "default",
        "reach": [
            { "to": "10.20.0.0/16", "protocol": "tcp", "ports": ["443", "8000-8100"] },
            { "protocol": "icmp", "ports": [] },
        ],
        "routes": ["10.30.0.0/16", "2001:db8:30::/48"],
        "speed": { "up": 10_000, "down": 50_000 },
        "devices": 3,
        "sessions": 2,
        "session_excess": "newest_ends",
        "lifetime": "90days",
        "users": 0,
        "nodes": 0,
        "nodes_applied": 0,
    });
    assert_eq!(told(&made), expected);
    assert_eq!(get(&stack, "/api/groups/sales").await, made);

    // Lists and the speed are replaced as a whole; the other fields stay.
    let some =
        json!({ "reach": [], "routes": ["10.40.0.0/16"], "speed": { "down": 64 }, "session_excess": "oldest_ends" });
    let changed = json_of(change(&stack, "sales", &some).await, StatusCode::OK).await;
    let mut expected = expected;
    expected["revision"] = json!(2);
    for field in ["reach", "routes", "speed", "session_excess"] {
        expected[field] = some[field].clone();
    }
    assert_eq!(told(&changed), expected);

    let nothing = json!({
        "pool": null, "reach": null, "routes": [], "speed": null, "devices": null, "sessions": null, "lifetime": null,
    });
    let cleared = json_of(change(&stack, "sales", &nothing).await, StatusCode::OK).await;
    let bare = json!({
        "name": "sales", "revision": 3, "routes": [], "session_excess": "oldest_ends", "users": 0, "nodes": 0, "nodes_applied": 0,
    });
    assert_eq!(told(&cleared), bare);

    delete(&stack, "sales").await.assert_status(StatusCode::NO_CONTENT);
    let listed = get(&stack, "/api/groups").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test]
async fn each_change_is_in_the_audit_trail_with_what_was_before() {
    let stack = Stack::start().await;
    make(
        &stack,
        "sales",
        json!({ "reach": [{ "to": "10.20.0.0/16" }], "lifetime": "1day" }),
    )
    .await;
    json_of(change(&stack, "sales", &json!({ "devices": 3 })).await, StatusCode::OK).await;
    delete(&stack, "sales").await.assert_status(StatusCode::NO_CONTENT);

    let created = audited(&stack, AuditAction::GroupCreated).await;
    assert_eq!((created.len(), created[0].actor.as_str()), (1, "key:admin"));
    let first = json!({
        "group": "sales", "revision": 1, "pool": null, "reach": [{ "to": "10.20.0.0/16" }], "routes": [],
        "speed": { "up": null, "down": null }, "devices": null, "sessions": null, "session_excess": "oldest_ends",
        "lifetime": "1day", "traffic": null,
    });
    assert_eq!(created[0].after.as_ref(), Some(&first));
    let mut second = first.clone();
    second["revision"] = json!(2);
    second["devices"] = json!(3);
    let changed = audited(&stack, AuditAction::GroupChanged).await;
    assert_eq!(changed.len(), 1);
    assert_eq!(
        (&changed[0].before, &changed[0].after),
        (&Some(first), &Some(second.clone()))
    );
    let deleted = audited(&stack, AuditAction::GroupDeleted).await;
    assert_eq!((&deleted[0].before, &deleted[0].after), (&Some(second), &None));
}

#[tokio::test]
async fn a_change_that_changes_nothing_is_no_change() {
    let stack = Stack::start().await;
    let same = json!({ "reach": [{ "to": "10.20.0.0/16" }], "speed": { "up": 64 }, "devices": 2, "lifetime": "90m" });
    for revision in [2, 2, 2] {
        let group = json_of(change(&stack, "default", &same).await, StatusCode::OK).await;
        assert_eq!(group["revision"], revision);
    }
    let group = json_of(change(&stack, "default", &json!({})).await, StatusCode::OK).await;
    assert_eq!((&group["revision"], &group["lifetime"]), (&json!(2), &json!("90m")));
    assert_eq!(audited(&stack, AuditAction::GroupChanged).await.len(), 1);
}

#[tokio::test]
async fn groups_are_listed_in_the_order_of_their_names() {
    let stack = Stack::start().await;
    for name in ["sales", "0-zeta", "engineering"] {
        make(&stack, name, json!({})).await;
    }
    let first = get(&stack, "/api/groups?limit=3").await;
    let cursor = first["next_cursor"].as_str().expect("more").to_owned();
    let second = get(&stack, &format!("/api/groups?limit=3&cursor={cursor}")).await;
    let names: Vec<&Value> = [&first, &second]
        .iter()
        .flat_map(|page| page["items"].as_array().expect("items"))
        .map(|group| &group["name"])
        .collect();
    assert_eq!(names, ["0-zeta", "default", "engineering", "sales"]);
    assert!(second.get("next_cursor").is_none());
}

#[tokio::test]
async fn an_unknown_group_is_not_found_and_a_known_one_not_made_twice() {
    let stack = Stack::start().await;
    let unknown = [
        stack.client().get("/api/groups/nothing").admin().send().await,
        change(&stack, "nothing", &json!({})).await,
        delete(&stack, "nothing").await,
    ];
    for response in unknown {
        let (problem, _) = problem_of(response, StatusCode::NOT_FOUND).await;
        assert_eq!(problem["detail"], "there is no such group");
    }
    let taken = create(&stack, &json!({ "name": "default" })).await;
    assert_eq!(problem_of(taken, StatusCode::CONFLICT).await.1, ["name"]);
    let (problem, _) = problem_of(delete(&stack, "default").await, StatusCode::CONFLICT).await;
    assert_eq!(
        problem["detail"],
        "the group default is never deleted: users that are put into no group are in this one"
    );
}

#[tokio::test]
async fn a_fleet_has_64_groups_at_most() {
    let stack = Stack::start().await;
    let others = format!(
        "INSERT INTO groups (name) SELECT 'group-' || n FROM generate_series(1, {}) n",
        MOST_GROUPS - 1
    );
    run(&stack.app.db, &others).await;
    let refused = create(&stack, &json!({ "name": "sales" })).await;
    let (problem, fields) = problem_of(refused, StatusCode::CONFLICT).await;
    assert!(fields.is_empty(), "{problem}");
    assert_eq!(
        problem["detail"],
        "there are 64 groups, and no fleet has more: delete one first"
    );
    delete(&stack, "group-7").await.assert_status(StatusCode::NO_CONTENT);
    make(&stack, "sales", json!({})).await;
}
