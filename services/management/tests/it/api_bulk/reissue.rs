//! New profiles for many users with one list.

use poem::http::StatusCode;
use serde_json::{Value, json};

use super::{batch, counts, failures, get, import, send_batch};
use crate::stack::{Stack, WithKey as _, json_of, problem_of};

/// How many credentials of each device of a user are valid, in the order of the names of the devices.
async fn devices(stack: &Stack, username: &str) -> Vec<(String, u64)> {
    let listed = get(stack, &format!("/api/users/{username}/devices")).await;
    let devices = listed["items"].as_array().expect("devices").iter();
    devices
        .map(|device| {
            let name = device["name"].as_str().expect("a name").to_owned();
            (name, device["credentials"].as_u64().expect("a count"))
        })
        .collect()
}

async fn add_device(stack: &Stack, username: &str, name: &str) {
    let path = format!("/api/users/{username}/devices");
    let client = stack.client();
    let request = client.post(path).admin().body_json(&json!({ "name": name }));
    json_of(request.send().await, StatusCode::CREATED).await;
}

/// Users with the devices `default` and `laptop`.
async fn with_laptops(usernames: &[&str]) -> Stack {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for username in usernames {
        stack.create_user(username).await;
        add_device(&stack, username, "laptop").await;
    }
    stack
}

fn named(devices: &[(&str, u64)]) -> Vec<(String, u64)> {
    devices
        .iter()
        .map(|(name, credentials)| ((*name).to_owned(), *credentials))
        .collect()
}

fn status(answer: &Value, index: usize) -> u64 {
    answer["results"][index]["status"].as_u64().expect("a status")
}

#[tokio::test]
async fn all_devices_of_a_user_or_one_of_them_get_new_profiles() {
    let stack = with_laptops(&["alice", "bob", "carol"]).await;

    let answer = batch(
        &stack,
        json!([
            { "action": "reissue", "username": "alice" },
            { "action": "reissue", "username": "bob", "device": "laptop", "old_profiles": "revoke" },
            { "action": "reissue", "username": "carol", "old_profiles": "keep" },
            { "action": "change", "username": "carol", "active": false },
        ]),
    )
    .await;

    assert_eq!(counts(&answer), [0, 1, 0, 0, 0], "{answer}");
    assert_eq!(answer["reissued"], 3);
    assert_eq!([0, 1, 2, 3].map(|index| status(&answer, index)), [200; 4]);
    assert_eq!(devices(&stack, "alice").await, named(&[("default", 2), ("laptop", 2)]));
    assert_eq!(devices(&stack, "bob").await, named(&[("default", 1), ("laptop", 1)]));
    assert_eq!(devices(&stack, "carol").await, named(&[("default", 2), ("laptop", 2)]));
    // One change of the user, whatever the number of its devices.
    assert_eq!(get(&stack, "/api/users/alice").await["revision"], 3);
    let trail = get(&stack, "/api/audit?action=user_reissued&username=alice").await;
    let rows = trail["items"].as_array().expect("items");
    assert_eq!(rows.len(), 1);
    let details = rows[0]["details"].as_str().expect("words");
    for device in ["default", "laptop"] {
        let words = format!("the new credential of the device {device} is ");
        assert!(details.contains(&words), "{details}");
    }
}

#[tokio::test]
async fn a_list_with_a_time_may_be_sent_again() {
    let stack = with_laptops(&["alice"]).await;
    // By the clock of the database, which dates credentials, and later than all of them.
    let alice = get(&stack, "/api/users/alice/devices/laptop").await;
    let created = alice["created_at"].clone();
    let items = |made_before: &Value| {
        json!([
            { "action": "reissue", "username": "alice", "device": "default", "old_profiles": "revoke", "made_before": made_before },
        ])
    };
    // The device `default` is older than that.
    assert_eq!(batch(&stack, items(&created)).await["reissued"], 1);
    let before = get(&stack, "/api/users/alice").await;
    let trail = get(&stack, "/api/audit").await;

    let again = batch(&stack, items(&created)).await;

    assert_eq!(counts(&again), [0, 0, 0, 1, 0], "{again}");
    assert_eq!((&again["reissued"], status(&again, 0)), (&json!(0), 200));
    assert_eq!(get(&stack, "/api/users/alice").await, before);
    assert_eq!(get(&stack, "/api/audit").await, trail);
    // Nor does one end that somebody asked for since.
    let more = json!([{ "action": "reissue", "username": "alice", "device": "default" }]);
    assert_eq!(batch(&stack, more).await["reissued"], 1);
    let again = batch(&stack, items(&created)).await;
    assert_eq!((&again["reissued"], &again["unchanged"]), (&json!(0), &json!(1)));
    // Without a time each list makes one more.
    let each_time = json!([{ "action": "reissue", "username": "alice", "device": "default" }]);
    for profiles in [3, 4] {
        assert_eq!(batch(&stack, each_time.clone()).await["reissued"], 1);
        let found = devices(&stack, "alice").await;
        assert_eq!(found, named(&[("default", profiles), ("laptop", 1)]));
    }
}

#[tokio::test]
async fn an_item_that_is_refused_says_why_and_stops_no_other() {
    let stack = with_laptops(&["alice", "bob"]).await;

    let answer = batch(
        &stack,
        json!([
            { "action": "reissue", "username": "nobody" },
            { "action": "reissue", "username": "alice", "device": "phone" },
            { "action": "reissue", "username": "alice", "device": "-" },
            { "action": "reissue", "username": "alice", "made_before": "soon" },
            { "action": "reissue", "username": "alice", "made_before": "2999-01-01T00:00:00Z" },
            { "action": "reissue", "username": "alice", "active": true },
            { "action": "change", "username": "alice", "device": "laptop" },
            { "action": "create", "username": "erin", "old_profiles": "keep" },
            { "action": "reissue", "username": "bob" },
            { "action": "remove", "username": "bob" },
        ]),
    )
    .await;

    assert_eq!(
        (counts(&answer), &answer["reissued"]),
        ([0, 0, 0, 0, 9], &json!(1)),
        "{answer}"
    );
    for (index, expected, field, detail) in [
        (0, 404, Value::Null, "there is no such user"),
        (1, 404, Value::Null, "there is no device phone"),
        (2, 400, json!("device"), "1 to 32 characters"),
        (3, 400, json!("made_before"), "must be an RFC 3339 time"),
        (4, 409, json!("made_before"), "must not be in the future"),
        (5, 400, json!("active"), "is not taken by reissue"),
        (6, 400, json!("device"), "is taken by reissue only"),
        (7, 400, json!("old_profiles"), "is taken by reissue only"),
        (9, 409, json!("username"), "the list has other entries for this user"),
    ] {
        assert_eq!(status(&answer, index), expected, "{answer}");
        let error = &answer["results"][index]["error"];
        assert_eq!(error["field"], field, "{error}");
        let said = error["detail"].as_str().expect("a detail");
        assert!(said.contains(detail), "{said}");
    }
    assert_eq!(devices(&stack, "alice").await, named(&[("default", 1), ("laptop", 1)]));
    let odd = json!([{ "action": "reissue", "username": "alice", "old_profiles": "perhaps" }]);
    let (_, fields) = problem_of(send_batch(&stack, odd).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(fields, ["items.0.old_profiles"]);
}

#[tokio::test]
async fn lines_of_a_file_do_the_same() {
    let stack = with_laptops(&["alice", "bob"]).await;
    let text = "username,action,device,old_profiles,made_before\r\n\
                alice,reissue,laptop,revoke,\r\n\
                bob,reissue,,,2020-01-01T00:00:00Z\r\n\
                bob,reissue,laptop,perhaps,\r\n\
                carol,create,laptop,,\r\n";

    let answer = import(&stack, text).await;

    assert_eq!(counts(&answer), [0, 0, 0, 1, 2], "{answer}");
    assert_eq!(answer["reissued"], 1);
    assert_eq!(
        failures(&answer),
        [(4, 400, Some("old_profiles")), (5, 400, Some("device")),]
    );
    assert_eq!(devices(&stack, "bob").await, named(&[("default", 1), ("laptop", 1)]));
}
