//! A node that dies and comes back: its users get another home meanwhile, and keep it.

use std::time::Duration;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    stack::{Part, StackOptions},
    wait,
};

use crate::main_job::site::Site;

const USERS: usize = 12;

/// Three nodes, and a management that gives them up after seconds.
async fn impatient() -> Site {
    let env = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    };
    Site::start(StackOptions {
        nodes: 3,
        tunnels: Some(false),
        management_env: env(&[
            ("HEALTH_STALE_AFTER", "2s"),
            ("HEALTH_LOST_AFTER", "4s"),
            ("HEALTH_REHOME_AFTER", "2s"),
        ]),
        node_env: env(&[("HEARTBEAT_INTERVAL", "500ms")]),
        ..StackOptions::default()
    })
    .await
}

#[tokio::test]
async fn the_users_of_a_lost_node_move_on_and_it_returns_without_taking_them_back() {
    let mut site = impatient().await;
    let api = site.stack.api();
    let names: Vec<String> = (0..USERS).map(|number| format!("user{number}")).collect();
    for name in &names {
        let body = json!({ "username": name, "server_id": "node-1" });
        let created = api.create_user_as(&body, Some(wait::SOON)).await.unwrap();
        created.expect(201).unwrap();
    }
    let homes = async || -> Vec<String> {
        let users = api.users("?limit=1000").await.unwrap();
        let home = |user: &Value| user["server_id"].as_str().unwrap().to_owned();
        users.items().iter().map(home).collect()
    };

    site.stack.kill_part(Part::Node(1)).await.unwrap();
    let moved = async || !homes().await.contains(&"node-1".to_owned());
    let took = wait::until(2 * wait::SOON, "the users of node-1 to have another home", moved).await;
    eprintln!(
        "measured: all homes had moved {} ms after the kill",
        took.unwrap().as_millis()
    );

    let before = homes().await;
    for node in ["node-2", "node-3"] {
        assert!(before.iter().any(|home| home == node), "{node} got nobody: {before:?}");
    }
    // The new homes make new profiles.
    for name in &names {
        let made = async || api.profile(name).await.is_ok();
        wait::until(wait::SOON, format_args!("a new profile of {name}"), made)
            .await
            .unwrap();
    }
    // What changes meanwhile waits for the lost node, and is applied when it returns.
    api.delete_user("user0", None).await.unwrap().success().unwrap();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    site.forgets("user0").await;
    let is_back = |node: &Value| node["state"] == "healthy" && node["lost_since"].is_null();
    site.endnode_when("node-1", "to take users again", is_back).await;
    let mut after = homes().await;
    after.sort();
    assert_eq!(after.len(), USERS - 1);
    assert!(!after.contains(&"node-1".to_owned()), "homes went back: {after:?}");
    for action in ["node_state_changed", "user_rehomed", "node_readmitted"] {
        let rows = api.audit(&format!("?action={action}")).await.unwrap();
        assert!(!rows.items().is_empty(), "{action}: {}", rows.text);
    }
    assert_eq!(site.all_synced(wait::SOON).await, USERS - 1);
}

#[tokio::test]
async fn an_outage_of_the_bus_that_is_longer_than_the_patience_moves_no_home() {
    let mut site = impatient().await;
    let api = site.stack.api();
    for number in 0..USERS {
        let created = api
            .create_user(&format!("user{number}"), Some(wait::SOON))
            .await
            .unwrap();
        created.expect(201).unwrap();
    }
    let homes = async || -> Vec<Value> {
        let users = api.users("?limit=1000").await.unwrap();
        users.items().iter().map(|user| user["server_id"].clone()).collect()
    };
    let before = homes().await;
    site.stack.stop_part(Part::Nats).await.unwrap();
    // The outage itself: more than all patience together.
    tokio::time::sleep(Duration::from_secs(10)).await;
    site.stack.start_part(Part::Nats).await.unwrap();
    for id in ["node-1", "node-2", "node-3"] {
        site.endnode_when(id, "to be healthy", |node| node["state"] == "healthy")
            .await;
    }
    assert_eq!(homes().await, before);
    let moved = api.audit("?action=user_rehomed").await.unwrap();
    assert!(moved.items().is_empty(), "{}", moved.text);
    // Nobody was called lost either: it was management that could not hear.
    let states = api.audit("?action=node_state_changed").await.unwrap();
    let lost = states
        .items()
        .iter()
        .filter(|row| row["after"]["state"] == "lost")
        .count();
    assert_eq!(lost, 0, "{}", states.text);
}
