//! Keys for others, events and webhooks, certificates, and a trail that proves itself.

use std::fs;

use serde_json::Value;

use crate::program::{Program, mode, start};

#[tokio::test]
async fn a_key_is_made_rotated_and_revoked_and_only_its_secret_goes_to_a_script() {
    let (stack, vpnmanager) = start().await;
    let url = stack.state().management_url();
    let create = [
        "api-keys",
        "create",
        "ci",
        "--role",
        "viewer",
        "--expires",
        "30d",
        "-o",
        "name",
    ];
    let key = vpnmanager.done(&create);
    let ci = Program::at(&url, key.trim());
    ci.done(&["users", "list"]);
    ci.fails(5, &["api-keys", "list"]);

    let keys = vpnmanager.json(&["api-keys", "list", "--role", "viewer"]);
    let id = keys[0]["id"].to_string();
    let id = id.as_str();
    assert_eq!(vpnmanager.json(&["api-keys", "show", id])["name"], "ci");
    assert!(
        !vpnmanager
            .done(&["api-keys", "list", "-o", "json"])
            .contains(key.trim())
    );

    let file = vpnmanager.home().join("ci.key");
    let path = file.to_str().unwrap();
    let rotate = ["api-keys", "rotate", id, "--grace", "0s", "--file", path];
    vpnmanager.fails(2, &rotate);
    assert_eq!(vpnmanager.done(&[rotate.as_slice(), &["--yes"]].concat()), "");
    assert_eq!(mode(&file), 0o600);
    let rotated = fs::read_to_string(&file).unwrap();
    Program::at(&url, rotated.trim()).done(&["users", "list"]);

    let would = vpnmanager.done(&["api-keys", "revoke", id, "--dry-run"]);
    assert!(would.contains("revoke ci, a key of the role viewer"), "{would}");
    vpnmanager.done(&["api-keys", "revoke", id, "--yes"]);
    let revoked = vpnmanager.done(&["api-keys", "list", "--state", "revoked", "-o", "name"]);
    assert_eq!(revoked, "ci\n");
}

#[tokio::test]
async fn events_are_printed_from_an_id_on() {
    let (_stack, vpnmanager) = start().await;
    vpnmanager.done(&["users", "create", "alice"]);
    let follow = [
        "events",
        "follow",
        "--since-id",
        "0",
        "--type",
        "user_created,user_removed",
        "--user",
        "alice",
    ];
    let line = vpnmanager.first_line(&[follow.as_slice(), &["-o", "json"]].concat());
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["username"]),
        (&"user_created".into(), &"alice".into())
    );
    assert!(vpnmanager.first_line(&follow).contains("user_created"));
    vpnmanager.fails(2, &["events", "follow", "--type", "no such thing"]);
}

#[tokio::test]
async fn a_webhook_is_made_changed_and_deleted() {
    let (_stack, vpnmanager) = start().await;
    let url = "https://hooks.example.com/vpn";
    // Nothing of these happens here: nodes, whose states may still change, are others.
    let made = vpnmanager.json(&["webhooks", "create", url, "--subject", "groups,pools"]);
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    let id = made["webhook"]["id"].to_string();
    assert!(vpnmanager.done(&["webhooks", "list"]).contains(url));

    vpnmanager.done(&[
        "webhooks",
        "update",
        &id,
        "--all-subjects",
        "--type",
        "user_created",
        "--disable",
    ]);
    let changed = vpnmanager.json(&["webhooks", "show", &id]);
    assert_eq!(changed["subjects"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        (&changed["types"][0], &changed["enabled"]),
        (&"user_created".into(), &false.into())
    );
    vpnmanager.fails(2, &["webhooks", "update", &id]);
    vpnmanager.fails(4, &["webhooks", "test", &id]);

    let secret = vpnmanager.done(&["webhooks", "rotate-secret", &id, "--yes", "-o", "name"]);
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(
        vpnmanager
            .json(&["webhooks", "deliveries", &id])
            .as_array()
            .map(Vec::len),
        Some(0)
    );
    vpnmanager.done(&["webhooks", "delete", &id, "--yes"]);
    vpnmanager.fails(3, &["webhooks", "show", &id]);
}

#[tokio::test]
async fn the_trail_is_exported_and_verified_and_certificates_are_listed() {
    let (_stack, vpnmanager) = start().await;
    vpnmanager.done(&["users", "create", "alice", "--wait=60s"]);
    let file = vpnmanager.home().join("audit.csv");
    let path = file.to_str().unwrap();
    vpnmanager.done(&["audit", "export", "--action", "user_created", "--file", path]);
    let csv = fs::read_to_string(&file).unwrap();
    assert!(csv.lines().count() == 2 && csv.contains("alice"), "{csv}");
    assert_eq!(mode(&file), 0o600);
    assert!(
        vpnmanager
            .fails(2, &["audit", "export", "--file", path])
            .contains("already")
    );
    let lines = vpnmanager.done(&["audit", "export", "--action", "user_created"]);
    let entry: Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!(entry["username"], "alice");

    assert_eq!(vpnmanager.json(&["audit", "verify"])["sound"], true);
    let certificates = vpnmanager.done(&["certificates", "list", "--user", "alice"]);
    assert!(certificates.contains("client"), "{certificates}");
    vpnmanager.done(&["certificates", "list", "--kind", "ca", "--expires-before", "3650d"]);
}
