//! `POST /api/sync/users`: a list from management's hand.

use std::time::SystemTime;

use serde_json::{Value, json};
use vpnmanager_testbed::wait;

use super::{profile, site::Site};

/// What the node `number` should hold of a user, as management would say it at the next revision.
async fn wanted(site: &Site, number: u8, username: &str) -> Value {
    let local = site.stack.node(number).unwrap().api();
    let held = local
        .get(&format!("/api/users/{username}"))
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let credentials = held.body["credentials"].as_array().unwrap();
    let names: Vec<&Value> = credentials.iter().map(|one| &one["common_name"]).collect();
    json!({
        "type": "put_user",
        "user_key": held.body["key"],
        "username": username,
        "revision": held.body["revision"],
        "active": true,
        "role": "standby",
        "credentials": names,
    })
}

fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().map_or(&[][..], Vec::as_slice);
    let name = |entry: &'_ Value| entry.as_str().is_some();
    assert!(entries.iter().all(name), "{list}");
    entries.iter().filter_map(Value::as_str).collect()
}

#[tokio::test]
async fn a_partial_list_changes_what_it_names_and_says_what_it_refused() {
    let site = Site::without_tunnels(2).await;
    for username in ["alice", "bob"] {
        site.create(username).await;
    }
    // Suspended and resumed: her revision is 3.
    for active in [false, true] {
        let (api, change) = (site.stack.api(), json!({ "active": active }));
        let changed = api.change_user("alice", &change, Some(wait::SOON)).await;
        changed.unwrap().success().unwrap();
    }
    // The node where alice has no profile: what is put there needs no issue.
    let home = site.stack.api().user("alice").await.unwrap().body["server_id"].clone();
    let number = if home == "node-1" { 2 } else { 1 };
    let local = site.stack.node(number).unwrap().api();
    let same = wanted(&site, number, "alice").await;
    let mut older = same.clone();
    older["revision"] = json!(1);
    let mut bad_name = same.clone();
    bad_name["username"] = json!("../x");
    bad_name["user_key"] = json!(uuid::Uuid::new_v4());
    let mut suspended = same.clone();
    suspended["revision"] = json!(same["revision"].as_i64().unwrap() + 1);
    suspended["active"] = json!(false);
    let stranger = json!({
        "type": "put_user", "user_key": uuid::Uuid::new_v4(), "username": "stranger", "revision": 1, "active": true,
        "role": "standby", "credentials": ["stranger.abcdefghijklmnop"],
    });

    let list = json!({ "full": false, "users": [same, older, bad_name, stranger] });
    let answer = local.post("/api/sync/users", &list).await.unwrap().expect(200).unwrap();

    assert_eq!(names(&answer.body["changed"]), ["stranger"], "{}", answer.text);
    assert_eq!(answer.body["unchanged"], 1, "{}", answer.text);
    let refused = answer.body["refused"].as_array().unwrap();
    let refused: Vec<&str> = refused.iter().filter_map(|entry| entry["username"].as_str()).collect();
    assert_eq!(refused, ["../x", "alice"], "{}", answer.text);
    assert!(refused.iter().all(|entry| !entry.is_empty()));
    for kept in ["alice", "bob"] {
        assert_eq!(local.get(&format!("/api/users/{kept}")).await.unwrap().status, 200);
    }

    let list = json!({ "users": [suspended.clone()] });
    let answer = local.post("/api/sync/users", &list).await.unwrap().expect(200).unwrap();
    assert_eq!(names(&answer.body["changed"]), ["alice"], "{}", answer.text);
    let held = local.get("/api/users/alice").await.unwrap();
    assert_eq!(held.body["state"], "suspended", "{}", held.text);

    // What is older than what the node holds is refused, with what it holds.
    suspended["revision"] = json!(suspended["revision"].as_i64().unwrap() - 1);
    suspended["active"] = json!(true);
    let answer = local
        .post("/api/sync/users", &json!({ "users": [suspended] }))
        .await
        .unwrap();
    let answer = answer.expect(200).unwrap();
    let reason = answer.body["refused"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("newer revision"), "{}", answer.text);
}

#[tokio::test]
async fn a_full_list_removes_and_cuts_whoever_is_not_on_it() {
    let Some(site) = Site::with_tunnels("full list").await else {
        return;
    };
    let witness = site.witness().await;
    let text = site.create("alice").await;
    let second = profile::with_only(&text, profile::remotes(&text)[1]);
    let alice = site.visit(&second).await;
    let number = if profile::hosts(&text)[1].ends_with(".11") {
        1
    } else {
        2
    };
    let local = site.stack.node(number).unwrap().api();
    let mut users = Vec::new();
    let mut keep = wanted(&site, number, "witness").await;
    let held = local.get("/api/users/witness").await.unwrap();
    if held.body["role"] == "home" {
        keep["role"] = json!("home");
    }
    users.push(keep);

    let began = SystemTime::now();
    let list = json!({ "full": true, "users": users });
    let answer = local.post("/api/sync/users", &list).await.unwrap().expect(200).unwrap();

    alice.is_cut(began, "a full list without her").await;
    assert_eq!(names(&answer.body["changed"]), ["alice"], "{}", answer.text);
    assert_eq!(answer.body["refused"], json!([]), "{}", answer.text);
    assert_eq!(local.get("/api/users/alice").await.unwrap().status, 404);
    site.refuses(&second).await;
    witness.lost_nothing().await;
    // Management's truth stands above a list by hand: at the next change she is let in again.
    let api = site.stack.api();
    api.change_user("alice", &json!({ "active": false }), Some(wait::SOON))
        .await
        .unwrap()
        .success()
        .unwrap();
    api.change_user("alice", &json!({ "active": true }), Some(wait::SOON))
        .await
        .unwrap()
        .success()
        .unwrap();
    site.lets_in(&text).await;
}
