//! All users as CSV, and back.

use serde_json::{Value, json};

use super::{counts, export, failures, get, import};
use crate::database::run;
use crate::stack::Stack;

/// What of each user goes from one fleet to another.
async fn wanted(stack: &Stack) -> Vec<Value> {
    let listed = get(stack, "/api/users?limit=1000").await;
    let items = listed["items"].as_array().expect("items").iter();
    items
        .map(|user| json!([user["username"], user["active"], user["expires_at"], user["server_id"]]))
        .collect()
}

/// Two fleets with the same servers.
async fn fleets() -> (Stack, Stack) {
    let (one, other) = (Stack::start().await, Stack::start().await);
    for stack in [&one, &other] {
        stack.enrol("node-1").await;
        stack.enrol("node-2").await;
    }
    (one, other)
}

#[tokio::test]
async fn what_is_exported_gives_the_same_users_in_another_fleet() {
    let (old, new) = fleets().await;
    let text = "username,active,expires_at,server_id\n\
                alice,true,2999-01-01T00:00:00.5Z,node-1\n\
                bob@example.org,false,,node-2\n\
                carol,,,node-1\n";
    assert_eq!(counts(&import(&old, text).await), [3, 0, 0, 0, 0]);

    let exported = export(&old, "").await;

    let lines: Vec<&str> = exported.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "username,active,expires_at,server_id,group,limits.devices,limits.sessions,limits.session_excess,limits.traffic.bytes,\
         limits.traffic.period,limits.traffic.reset_day,limits.speed.up,limits.speed.down,limits.reach_and_routes,synced,created_at,checksum,over_quota"
    );
    for line in [
        "alice,true,2999-01-01T00:00:00.500Z,node-1,default,,,,,,,,,,false,",
        "bob@example.org,false,never,node-2,default,,,,,,,,,,false,",
    ] {
        assert!(lines.iter().any(|found| found.starts_with(line)), "{exported}");
    }
    assert_eq!((lines.len(), lines[4]), (5, ""));
    let answer = import(&new, &exported).await;
    assert_eq!(counts(&answer), [3, 0, 0, 0, 0], "{answer}");
    let (mut of_old, mut of_new) = (wanted(&old).await, wanted(&new).await);
    of_old.sort_by_key(Value::to_string);
    of_new.sort_by_key(Value::to_string);
    assert_eq!(of_old, of_new);
    assert_eq!(counts(&import(&old, &exported).await), [0, 0, 0, 3, 0]);

    // Who is over a quota here is not so there.
    run(
        &old.app.db,
        "UPDATE groups SET traffic_bytes = 1, traffic_period = 'none';
         INSERT INTO traffic_days (day, user_id, username, server_id, bytes_in, bytes_out, sessions)
         SELECT now()::date, id, username, server_id, 9, 9, 1 FROM users WHERE username = 'alice';
         UPDATE users SET over_quota_since = now() WHERE username = 'alice'",
    )
    .await;
    let exported = export(&old, "").await;
    let ends: Vec<&str> = exported.lines().filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!(ends.iter().filter(|end| **end == "true").count(), 1, "{exported}");
    assert_eq!(counts(&import(&new, &exported).await), [0, 0, 0, 3, 0]);
    assert_eq!(get(&new, "/api/users/alice").await["over_quota"], false);

    for (query, expected) in [
        ("?over_quota=true", 1),
        ("?over_quota=false", 2),
        ("?active=false", 1),
        ("?server_id=node-1", 2),
        ("?username=al", 1),
        ("?synced=true", 0),
    ] {
        let lines = export(&old, query).await.lines().count();
        assert_eq!(lines, 1 + expected, "{query}");
    }
}

#[tokio::test]
async fn more_users_than_a_page_are_exported_once_each() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("first").await;
    run(
        &stack.app.db,
        "INSERT INTO users (key, username, port, protocol, server_id, created_by)
         SELECT gen_random_uuid(), 'user-' || n, port, protocol, server_id, created_by FROM users, generate_series(1, 2000) n",
    )
    .await;
    let exported = export(&stack, "").await;
    let names: Vec<&str> = exported
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').next())
        .collect();
    let expected: Vec<String> = (1..=2000).map(|number| format!("user-{number}")).collect();
    assert_eq!(names.len(), 2001);
    assert_eq!(names[0], "first");
    assert_eq!(names[1..], expected[..]);
}

#[tokio::test]
async fn for_new_profiles_of_an_export_its_names_are_enough() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    stack.create_user("alice").await;
    let exported = export(&stack, "").await;
    let mut lines = exported.lines();
    let (header, row) = (lines.next().expect("a header"), lines.next().expect("alice"));
    let whole = format!("action,{header}\r\nreissue,{row}\r\n");
    let refused = import(&stack, &whole).await;
    assert_eq!(failures(&refused), [(2, 400, Some("active"))]);

    let answer = import(&stack, "action,username\r\nreissue,alice\r\n").await;

    assert_eq!((&answer["reissued"], &answer["failed"]), (&json!(1), &json!(0)));
}
