//! What an operator does with users.

use std::fs;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use vpnmanager_testbed::stack::StackOptions;

use crate::program::{mode, one_node, start, start_with};

#[tokio::test]
async fn a_user_is_created_shown_changed_and_removed() {
    let (_stack, vpnmanager) = start().await;
    vpnmanager.done(&[
        "users",
        "create",
        "alice",
        "--expires",
        "30d",
        "--quota",
        "50GB",
        "--wait=60s",
    ]);
    assert_eq!(vpnmanager.done(&["users", "list", "-o", "name"]), "alice\n");
    let alice = vpnmanager.json(&["users", "show", "alice"]);
    assert_eq!(alice.pointer("/limits/traffic/bytes"), Some(&json!(50_000_000_000_u64)));
    let expires: DateTime<Utc> = alice["expires_at"].as_str().unwrap().parse().unwrap();
    assert!((29..=30).contains(&(expires - Utc::now()).num_days()), "{expires}");

    vpnmanager.done(&["users", "update", "alice", "--expires", "never", "--clear", "quota"]);
    let alice = vpnmanager.json(&["users", "show", "alice"]);
    assert_eq!(alice.get("expires_at"), None);
    assert_eq!(alice.pointer("/limits/traffic"), None);

    vpnmanager.done(&["users", "suspend", "alice"]);
    assert_eq!(
        vpnmanager.done(&["users", "list", "--active=false", "-o", "name"]),
        "alice\n"
    );
    vpnmanager.done(&["users", "resume", "alice", "--wait"]);

    assert_eq!(
        vpnmanager.fails(4, &["users", "create", "alice"]).trim_end(),
        "error: alice: username: is taken"
    );
    assert!(vpnmanager.fails(3, &["users", "show", "bob"]).contains("no such user"));
    assert!(
        vpnmanager
            .fails(2, &["users", "create", "not a name"])
            .contains("username")
    );

    assert!(vpnmanager.fails(2, &["users", "delete", "alice"]).contains("--yes"));
    let would = vpnmanager.done(&["users", "delete", "alice", "--dry-run"]);
    assert!(would.starts_with("would remove alice, who is on node-1"), "{would}");
    vpnmanager.fails(3, &["users", "delete", "bob", "--dry-run"]);
    vpnmanager.done(&["users", "delete", "alice", "--yes", "--wait"]);
    vpnmanager.fails(3, &["users", "show", "alice"]);
}

/// The users of a list.
fn names(answer: &Value) -> Vec<&str> {
    let users = answer.as_array().expect("a list").iter();
    users.map(|user| user["username"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn several_users_are_told_in_one_document_up_to_the_first_that_fails() {
    let (_stack, vpnmanager) = start().await;
    assert_eq!(
        names(&vpnmanager.json(&["users", "create", "alice", "bob"])),
        ["alice", "bob"]
    );
    // Of one name it is no list.
    assert_eq!(vpnmanager.json(&["users", "create", "carol"])["username"], "carol");

    let ran = vpnmanager.run(&["users", "create", "dave", "alice", "erin", "-o", "json"]);
    assert_eq!((ran.code, ran.err.trim_end()), (4, "error: alice: username: is taken"));
    assert_eq!(names(&serde_json::from_str(&ran.out).unwrap()), ["dave"]);
    vpnmanager.fails(3, &["users", "show", "erin"]);
    let ran = vpnmanager.run(&["users", "create", "alice", "erin", "-o", "json"]);
    assert_eq!((ran.code, ran.out.as_str()), (4, ""), "{ran:?}");

    let csv = vpnmanager.done(&["users", "suspend", "alice", "bob", "-o", "csv"]);
    assert!(csv.starts_with("username,group,") && csv.lines().count() == 3, "{csv}");
    let table = vpnmanager.done(&["users", "resume", "alice", "bob"]);
    assert!(table.starts_with("USER") && table.lines().count() == 3, "{table}");

    let removed = vpnmanager.json(&["users", "delete", "alice", "bob", "--yes"]);
    assert_eq!(names(&removed), ["alice", "bob"]);
    vpnmanager.fails(3, &["users", "show", "bob"]);
}

#[tokio::test]
async fn a_profile_goes_into_a_file_for_the_eyes_of_its_owner() {
    let (_stack, vpnmanager) = start().await;
    vpnmanager.done(&["users", "create", "alice", "--wait=60s"]);
    vpnmanager.done(&["devices", "create", "alice", "phone", "--wait=60s"]);
    for (device, name) in [("default", "alice.ovpn"), ("phone", "phone.ovpn")] {
        let file = vpnmanager.home().join(name);
        let path = file.to_str().unwrap();
        let said = vpnmanager.done(&["users", "profile", "alice", "--device", device, "--file", path]);
        assert_eq!(said, "");
        assert_eq!(mode(&file), 0o600);
        assert!(fs::read_to_string(&file).unwrap().contains("BEGIN PRIVATE KEY"));
    }
    let devices = vpnmanager.json(&["devices", "list", "alice"]);
    assert_eq!(devices.as_array().map(Vec::len), Some(2));
    vpnmanager.done(&["devices", "delete", "alice", "phone", "--yes"]);
    vpnmanager.fails(3, &["devices", "show", "alice", "phone"]);
}

#[tokio::test]
async fn lists_go_in_and_out_as_csv_and_follow_all_pages() {
    let (_stack, vpnmanager) = start().await;
    let names: Vec<String> = (0..1001).map(|number| format!("user{number:04}")).collect();
    let csv = format!("username\n{}\n", names.join("\n"));
    let ran = vpnmanager.run_with(&["users", "import", "-"], &csv);
    assert_eq!((ran.code, ran.err.trim()), (0, "created 1001"), "{ran:?}");
    let listed = vpnmanager.done(&["users", "list", "-o", "name"]);
    assert_eq!(listed.lines().count(), 1001);
    let first = vpnmanager.done(&["users", "list", "--limit", "3", "-o", "name"]);
    assert_eq!(first.lines().count(), 3);
    assert!(listed.starts_with(&first), "{first}");
    let table = vpnmanager.done(&["users", "list", "user000"]);
    assert_eq!(table.lines().count(), 11, "{table}");
    assert_eq!(vpnmanager.done(&["export"]).lines().count(), 1002);

    let ran = vpnmanager.run_with(&["users", "import", "-"], "username\nnot a name\n");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("not a name"), "{ran:?}");

    let batch = json!([{ "action": "change", "username": "user0000", "active": false }, { "action": "remove", "username": "nobody" }]);
    let ran = vpnmanager.run_with(&["batch", "-"], &batch.to_string());
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("nobody") && !ran.out.contains("user0000"), "{ran:?}");
    assert_eq!(
        vpnmanager.json(&["users", "show", "user0000"])["active"],
        Value::Bool(false)
    );
}

#[tokio::test]
async fn new_profiles_take_the_place_of_old_ones_and_links_to_them_are_made_and_revoked() {
    let options = StackOptions {
        management_env: vec![("PUBLIC_URL".to_owned(), "https://vpn.example.com".to_owned())],
        ..one_node()
    };
    let (_stack, vpnmanager) = start_with(options).await;
    vpnmanager.done(&["users", "create", "alice", "--wait=60s"]);
    let profile = || vpnmanager.done(&["users", "profile", "alice"]);
    let first = profile();
    vpnmanager.done(&["users", "reissue", "alice", "--wait=60s"]);
    let second = profile();
    assert_ne!(first, second);
    let reissue = ["devices", "reissue", "alice", "default", "--old-profiles", "revoke"];
    assert!(vpnmanager.fails(2, &reissue).contains("--yes"));
    vpnmanager.done(&[reissue.as_slice(), &["--yes", "--wait=60s"]].concat());
    assert_ne!(second, profile());

    let made = vpnmanager.json(&["users", "link", "alice", "--ttl", "2h", "--uses", "3"]);
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("https://vpn.example.com/"), "{url}");
    vpnmanager.json(&["devices", "link", "alice", "default"]);
    let links = vpnmanager.json(&["links", "list", "alice"]);
    assert_eq!(links.as_array().map(Vec::len), Some(2));
    assert!(!links.to_string().contains(url), "{links}");
    let id = made["id"].to_string();
    vpnmanager.done(&["links", "delete", "alice", &id, "--yes"]);
    let left = vpnmanager.json(&["links", "list", "alice"]);
    assert_eq!(
        (left.as_array().map(Vec::len), &left[0]["uses_left"]),
        (Some(1), &json!(1))
    );

    assert!(vpnmanager.json(&["users", "traffic", "alice"]).is_array());
    let entry = vpnmanager.first_line(&["audit", "follow", "--action", "user_created"]);
    assert!(entry.contains("alice"), "{entry}");
}
