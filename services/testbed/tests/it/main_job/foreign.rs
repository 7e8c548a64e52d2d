//! What belongs to another fleet does not get in.

use std::fs;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    client::ClientOptions,
    process::Log,
    stack::{Part, StackOptions},
    wait,
};

use super::{
    profile,
    site::{Site, nodes::agent_when},
};

#[tokio::test]
async fn an_identity_of_another_fleet_is_refused_and_the_agent_says_so() {
    let ours = Site::without_tunnels(0).await;
    let mut theirs = Site::without_tunnels(1).await;
    theirs.create("alice").await;
    theirs.stack.stop_part(Part::Node(1)).await.unwrap();
    let file = theirs.stack.node(1).unwrap().dir().join("identity.json");
    let mut identity = theirs.identity(1);
    // Their node, with all that proves who it is, at our bus.
    identity["bus_urls"] = json!([format!("tls://127.0.0.1:{}", ours.stack.state().nats_port)]);
    identity["bus_ca"] = json!(fs::read_to_string(ours.stack.nats_ca()).unwrap());
    fs::write(&file, identity.to_string()).unwrap();
    // Their management would say where their bus is.
    theirs.stack.stop_part(Part::Management).await.unwrap();

    theirs.stack.start_part(Part::Node(1)).await.unwrap();

    let log: Log = theirs.agent_log(1);
    log.wait_for("The bus refuses this node's identity", 1, wait::SOON)
        .await
        .unwrap();
    let node = theirs.stack.node(1).unwrap();
    assert!(node.agent().is_some(), "the agent crashed");
    let health = node.api().get("/health").await.unwrap().expect(200).unwrap();
    assert_eq!(health.body["bus_connected"], false, "{}", health.text);
    assert_eq!(health.body["users"], 1, "what it holds was forgotten: {}", health.text);
    let nodes = ours.stack.api().endnodes().await.unwrap().expect(200).unwrap();
    assert!(nodes.items().is_empty(), "{}", nodes.text);

    theirs.stack.start_part(Part::Management).await.unwrap();
    let local = theirs.stack.node(1).unwrap().api();
    let is_back = |health: &Value| health["bus_connected"] == true;
    agent_when(&local, "the node to be at its own bus again", is_back).await;
}

#[tokio::test]
async fn a_profile_of_another_fleet_gets_no_answer() {
    let one_node = || StackOptions {
        nodes: 1,
        ..StackOptions::default()
    };
    if vpnmanager_testbed::net::require_tunnels("foreign profile").is_none() {
        return;
    }
    let ours = Site::start(one_node()).await;
    let theirs = Site::start(one_node()).await;
    let own = ours.create("alice").await;
    let foreign = theirs.create("alice").await;
    // Their alice, dialling our server.
    let remote = profile::remotes(&own)[0];
    let dialled = foreign.replace(profile::remotes(&foreign)[0], remote);

    let stranger = ours
        .stack
        .start_client(&dialled, &ClientOptions::default())
        .await
        .unwrap();

    let log = stranger.client.log();
    log.wait_for("Server poll timeout", 2, wait::SOON).await.unwrap();
    assert_eq!(stranger.client.connections(), 0);
    ours.lets_in(&own).await;
}
