//! A node that leaves the fleet stops serving, and stays stopped; one that was away then learns it from management when it returns.

use std::time::Instant;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    stack::{Part, StackOptions},
    wait,
};

use crate::main_job::{
    profile,
    site::{MOVED, Site, Visitor, nodes::agent_when},
};

async fn deregister(site: &Site, node: &str) {
    let path = format!("/api/endnodes/{node}/deregister");
    let answer = site.stack.api().post(&path, &json!({})).await.unwrap();
    answer.success().unwrap();
}

/// Panics unless the client is with its next server in time.
async fn moves(visitor: &Visitor, host: &str) {
    let gap = visitor.moved_to(host, 1).await;
    eprintln!("measured: the client was without its tunnel for {} ms", gap.as_millis());
    assert!(gap < MOVED, "{gap:?}");
}

async fn stops_serving(site: &Site) {
    let left = site.stack.node(2).unwrap();
    let stopped = async || left.openvpn().is_none();
    wait::until(wait::SOON, "OpenVPN of the node that left to stop", stopped)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_clients_of_a_deregistered_node_move_on_because_it_stops_serving() {
    let Some(site) = Site::with_tunnels("retired").await else {
        return;
    };
    let text = site.create_at("alice", "node-2").await;
    let next = profile::hosts(&text)[1].to_owned();
    let alice = site.visit(&text).await;

    deregister(&site, "node-2").await;

    moves(&alice, &next).await;
    stops_serving(&site).await;
    assert!(site.stack.node(2).unwrap().agent().is_some());
}

#[tokio::test]
async fn a_node_that_was_away_when_it_was_deregistered_stops_serving_when_it_returns() {
    let Some(mut site) = Site::with_tunnels("retired away").await else {
        return;
    };
    let text = site.create_at("alice", "node-2").await;
    let next = profile::hosts(&text)[1].to_owned();
    let alice = site.visit(&text).await;

    site.stack.kill_part(Part::Node(2)).await.unwrap();
    deregister(&site, "node-2").await;
    alice.pings.flows(20, wait::SOON).await.unwrap();
    assert!(
        site.stack.node(2).unwrap().openvpn().is_some(),
        "nobody could tell it yet"
    );
    site.stack.start_part(Part::Node(2)).await.unwrap();

    moves(&alice, &next).await;
    stops_serving(&site).await;
}

#[tokio::test]
async fn a_retired_node_stays_retired_and_one_that_was_away_stops_serving_and_says_why() {
    let mut site = Site::start(StackOptions {
        nodes: 3,
        tunnels: Some(false),
        ..StackOptions::default()
    })
    .await;
    let local = |site: &Site, number: u8| site.stack.node(number).unwrap().api();
    let is_refused = |health: &Value| health["status"] == "refused";
    site.stack.stop_part(Part::Node(3)).await.unwrap();

    deregister(&site, "node-2").await;
    deregister(&site, "node-3").await;
    let retired = local(&site, 2);
    assert!(is_refused(&retired.get("/health").await.unwrap().body));
    site.stack.kill_part(Part::Node(2)).await.unwrap();
    site.stack.start_part(Part::Node(2)).await.unwrap();
    agent_when(&retired, "the next run to be refused too", is_refused).await;

    site.stack.start_part(Part::Node(3)).await.unwrap();
    let away = local(&site, 3);
    let began = Instant::now();
    let says_why = |health: &Value| {
        let why = health["detail"].as_str().unwrap_or_default();
        is_refused(health) && why.starts_with("this node was deregistered")
    };
    agent_when(&away, "the node that was away to say why", says_why).await;
    eprintln!(
        "measured: the node knew {} ms after its start",
        began.elapsed().as_millis()
    );
    let said = site.agent_log(3);
    said.wait_for("Management says that this node was deregistered", 1, wait::SOON)
        .await
        .unwrap();

    // Without management nothing is known, and what is known stays.
    site.stack.stop_part(Part::Management).await.unwrap();
    site.stack.kill_part(Part::Node(3)).await.unwrap();
    site.stack.start_part(Part::Node(3)).await.unwrap();
    agent_when(&away, "the node to stay out of the fleet", is_refused).await;
}

#[tokio::test]
async fn a_node_that_only_the_bus_refuses_serves_on_and_says_why() {
    let mut site = Site::without_tunnels(2).await;
    site.stack.stop_part(Part::Node(2)).await.unwrap();
    deregister(&site, "node-2").await;
    site.stack.stop_part(Part::Management).await.unwrap();
    site.stack.start_part(Part::Node(2)).await.unwrap();

    let away = site.stack.node(2).unwrap().api();
    let says_why = |health: &Value| {
        let detail = health["detail"].as_str().unwrap_or_default();
        health["status"] == "degraded" && detail.contains("refuses this node")
    };
    // It looks each ten seconds, and asks management in between, which is away.
    agent_when(&away, "the node to say why", says_why).await;
    let said = site.agent_log(2);
    said.wait_for("The bus refuses this node's identity", 1, wait::SOON)
        .await
        .unwrap();
}
