//! Groups, pools, nodes, tokens, the audit trail.

use crate::program::start;

#[tokio::test]
async fn groups_and_pools_are_made_changed_and_deleted() {
    let (_stack, vpnmanager) = start().await;
    let rules = [
        "--lifetime",
        "90d",
        "--speed-down",
        "10Mbit",
        "--reach",
        "10.20.0.0/16,tcp,443",
        "--route",
        "10.20.0.0/16",
    ];
    vpnmanager.done(&[["groups", "create", "sales"].as_slice(), rules.as_slice()].concat());
    let sales = vpnmanager.json(&["groups", "show", "sales"]);
    assert_eq!(sales["lifetime"], "90days");
    assert_eq!(sales["speed"]["down"], 10_000);
    assert_eq!(sales["reach"][0]["ports"][0], "443");
    vpnmanager.done(&[
        "groups",
        "update",
        "sales",
        "--no-lifetime",
        "--reach",
        "nothing",
        "--clear",
        "speed",
        "--clear",
        "routes",
    ]);
    let sales = vpnmanager.json(&["groups", "show", "sales"]);
    assert_eq!((sales.get("lifetime"), sales.get("speed")), (None, None));
    assert_eq!(sales["reach"].as_array().map(Vec::len), Some(0));
    assert_eq!(sales["routes"].as_array().map(Vec::len), Some(0));
    vpnmanager.done(&["groups", "delete", "sales", "--yes"]);
    vpnmanager.fails(3, &["groups", "show", "sales"]);

    vpnmanager.done(&[
        "pools",
        "create",
        "lab",
        "--replicas",
        "1",
        "--route",
        "10.30.0.0/16",
        "--dns",
        "10.30.0.53",
    ]);
    vpnmanager.done(&["pools", "update", "lab", "--no-replicas", "--no-network"]);
    let lab = vpnmanager.json(&["pools", "show", "lab"]);
    assert_eq!((lab.get("replicas"), lab.get("network")), (None, None));
    assert!(
        vpnmanager
            .fails(4, &["pools", "delete", "default", "--yes"])
            .contains("error: ")
    );
    vpnmanager.done(&["pools", "delete", "lab", "--yes"]);
}

#[tokio::test]
async fn nodes_and_tokens_are_listed_and_acted_on() {
    let (_stack, vpnmanager) = start().await;
    assert_eq!(vpnmanager.done(&["nodes", "list", "-o", "name"]), "node-1\n");
    let csv = vpnmanager.done(&["nodes", "list", "-o", "csv"]);
    assert!(csv.starts_with("server_id,state,pool,host,"), "{csv}");
    let yaml = vpnmanager.done(&["nodes", "show", "node-1", "-o", "yaml"]);
    assert!(yaml.contains("server_id: node-1"), "{yaml}");
    assert!(vpnmanager.done(&["bus", "list"]).contains("node-1"));
    vpnmanager.done(&["nodes", "disable", "node-1"]);
    assert_eq!(vpnmanager.json(&["nodes", "show", "node-1"])["enabled"], false);
    vpnmanager.done(&["nodes", "enable", "node-1"]);
    let would = vpnmanager.done(&["nodes", "drain", "node-1", "--dry-run"]);
    assert!(would.contains("node-1"), "{would}");
    assert_eq!(vpnmanager.json(&["nodes", "show", "node-1"])["draining"], false);
    vpnmanager.done(&["sessions", "list"]);
    vpnmanager.done(&["sessions", "history", "--from", "1d"]);

    let made = vpnmanager.json(&["join-tokens", "create", "node-9", "--ttl", "2h"]);
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].to_string());
    let listed = vpnmanager.done(&["join-tokens", "list", "--state", "open"]);
    assert!(listed.contains(&id) && !listed.contains(token), "{listed}");
    vpnmanager.done(&["join-tokens", "delete", &id, "--yes"]);

    assert_eq!(vpnmanager.json(&["status"])["status"], "ok");
    let audit = vpnmanager.done(&["audit", "list", "--action", "join_token_created", "-o", "csv"]);
    assert!(
        audit.starts_with("id,timestamp,action,") && audit.contains(",join_token_created,key:admin,"),
        "{audit}"
    );
}

#[tokio::test]
async fn an_old_server_is_tried_and_imported() {
    let (_stack, vpnmanager) = start().await;
    let source = vpnmanager.home().join("old");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("users.csv"), "username\ncarol\n").unwrap();
    let source = source.to_str().unwrap();
    let said = vpnmanager.done(&["import", source, "--node", "node-1", "--dry-run"]);
    assert!(said.contains("Would be: created 1"), "{said}");
    vpnmanager.fails(3, &["users", "show", "carol"]);
    vpnmanager.done(&["import", source, "--node", "node-1"]);
    vpnmanager.done(&["users", "show", "carol"]);
    assert_eq!(vpnmanager.json(&["imports", "list"]).as_array().map(Vec::len), Some(1));
    vpnmanager.fails(2, &["import", "/nothing/is/here", "--node", "node-1"]);
}

#[tokio::test]
async fn a_node_is_not_drained_without_another_one_replaces_profiles_and_is_deregistered() {
    let (_stack, vpnmanager) = start().await;
    vpnmanager.done(&["users", "create", "alice", "--wait=60s"]);
    assert!(vpnmanager.fails(2, &["nodes", "drain", "node-1"]).contains("--yes"));
    // No node has an OpenVPN here, so none is known to serve.
    let refused = vpnmanager.fails(4, &["nodes", "drain", "node-1", "--yes"]);
    assert!(
        refused.contains("no other server of the pool can take its clients"),
        "{refused}"
    );
    vpnmanager.done(&["nodes", "undrain", "node-1"]);
    assert_eq!(vpnmanager.json(&["nodes", "show", "node-1"])["draining"], false);

    vpnmanager.done(&["nodes", "reissue", "start", "node-1", "--yes"]);
    let reissue = vpnmanager.json(&["nodes", "reissue", "show", "node-1"]);
    assert_eq!(
        (&reissue["server_id"], &reissue["total"]),
        (&"node-1".into(), &1.into())
    );
    assert!(vpnmanager.json(&["nodes", "traffic", "node-1"]).is_array());
    vpnmanager.fails(3, &["pools", "rollout", "start", "nowhere", "--yes"]);
    let would = vpnmanager.done(&["sessions", "disconnect", "node-1.1.1", "--dry-run"]);
    assert!(would.starts_with("would end the session node-1.1.1"), "{would}");
    vpnmanager.fails(3, &["sessions", "disconnect", "node-9.1.1", "--yes"]);

    assert!(
        vpnmanager
            .fails(2, &["nodes", "deregister", "node-1"])
            .contains("--yes")
    );
    vpnmanager.done(&["nodes", "deregister", "node-1", "--yes"]);
    let told = vpnmanager.json(&["audit", "list", "--action", "node_deregistered"]);
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
}
