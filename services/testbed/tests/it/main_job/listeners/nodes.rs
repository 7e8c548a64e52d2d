//! Nodes that end, are drained, or lose one of their listeners: clients that are on TCP move as those on UDP do.

use std::time::Duration;

use serde_json::Value;
use vpnmanager_testbed::{
    client::ClientOptions,
    stack::{Listener, Node, Part},
    wait,
};

use super::{at_both, connect_at, visit_at};
use crate::main_job::{
    failover::DEAD,
    profile,
    site::{MOVED, Site, Visitor, reached},
};

/// Alice, connected to her home over TCP.
struct Scene {
    site: Site,
    home: u8,
    /// Her home, then her standby.
    hosts: Vec<String>,
    alice: Visitor,
}

impl Scene {
    async fn set(test: &str) -> Option<Self> {
        let site = at_both(test, 2).await?;
        let text = site.create("alice").await;
        let alice = visit_at(&site, Listener::TCP, &text).await;
        let hosts = hosts(&text);
        assert!(alice.connection.client.log().contains(&at_tcp(&hosts[0])));
        Some(Self {
            home: site.first_node(&text),
            site,
            hosts,
            alice,
        })
    }

    /// Panics unless she is with the second node within `bound`.
    async fn moves_within(self, bound: Duration, what: &str) {
        let gap = self.alice.moved_to(&self.hosts[1], 1).await;
        eprintln!(
            "measured: the tunnel over TCP was away for {} ms after {what}",
            gap.as_millis()
        );
        assert!(gap < bound, "{gap:?} after {what}");
        assert!(self.alice.connection.client.log().contains(&at_tcp(&self.hosts[1])));
    }
}

fn hosts(text: &str) -> Vec<String> {
    profile::hosts(text).into_iter().take(2).map(str::to_owned).collect()
}

/// The line of a client's log that says that it speaks with this server over TCP.
fn at_tcp(host: &str) -> String {
    at(host, Listener::TCP)
}

/// The same of this listener.
fn at(host: &str, listener: Listener) -> String {
    format!("{}{}", reached(host), listener.port)
}

/// The node gets no UDP of clients through.
async fn bars_udp(node: &Node<'_>) {
    let namespace = node.namespace().unwrap();
    for line in [
        "nft add table inet barred",
        "nft add chain inet barred input { type filter hook input priority 0 ; }",
        "nft add rule inet barred input udp dport 1194 drop",
    ] {
        namespace.run(line).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_on_tcp_moves_to_the_second_node_when_the_first_is_killed() {
    let Some(mut scene) = Scene::set("listeners killed node").await else {
        return;
    };
    scene.site.kill_node(scene.home).await;
    scene.moves_within(DEAD, "kill -9 of the node").await;
}

#[tokio::test]
async fn a_client_on_tcp_moves_to_the_second_node_when_the_cable_of_the_first_is_pulled() {
    let Some(scene) = Scene::set("listeners cable").await else {
        return;
    };
    let home = scene.site.stack.node(scene.home).unwrap();
    home.namespace().unwrap().cut().await.unwrap();
    scene.moves_within(DEAD, "the cable was pulled").await;
}

#[tokio::test]
async fn the_clients_of_a_drained_node_move_whichever_listener_they_are_on() {
    let Some(site) = at_both("listeners drain", 2).await else {
        return;
    };
    let mut visitors = Vec::new();
    for (username, listener) in ["alice", "bob"].into_iter().zip(Listener::BOTH) {
        let text = site.create_at(username, "node-1").await;
        visitors.push(visit_at(&site, listener, &text).await);
    }
    let newcomer = site.create_at("carol", "node-1").await;
    let hosts = hosts(&newcomer);

    site.ask_for("drain", "node-1", 200).await;

    for (visitor, listener) in visitors.into_iter().zip(Listener::BOTH) {
        let gap = visitor.moved_to(&hosts[1], 1).await;
        eprintln!(
            "measured: a moved client at {listener} was without its tunnel for {} ms",
            gap.as_millis()
        );
        assert!(gap < MOVED, "{gap:?} at {listener}");
        visitor.connection.close().await;
    }
    site.is_drained("node-1").await;
    let carol = connect_at(&site, Listener::TCP, &newcomer).await;
    let log = carol.client.log();
    log.wait_for(&at_tcp(&hosts[1]), 1, wait::SOON).await.unwrap();
    carol.close().await;
}

/// Her profile names UDP of all nodes before TCP of all: behind UDP of the last node comes TCP of the first.
#[tokio::test]
async fn a_client_on_udp_of_a_drained_standby_goes_to_tcp_of_its_home_and_stays_until_it_connects_anew() {
    let Some(site) = at_both("listeners drained standby", 2).await else {
        return;
    };
    let api = site.stack.api();
    let text = site.create_at("alice", "node-1").await;
    let hosts = hosts(&text);
    let home = site.stack.node(1).unwrap();
    bars_udp(&home).await;
    let mut alice = site.connect(&text).await;
    let log = alice.client.log();
    assert!(log.contains(&at(&hosts[1], Listener::UDP)), "{}", log.text());
    let unbar = "nft delete table inet barred";
    home.namespace().unwrap().run(unbar).await.unwrap();

    site.ask_for("drain", "node-2", 200).await;

    alice.client.connected_times(2, wait::SOON).await.unwrap();
    assert!(log.contains(&at_tcp(&hosts[0])), "{}", log.text());
    // Nothing moves her back.
    site.ask_for("undrain", "node-2", 200).await;
    let path = "/api/sessions?username=alice&server_id=node-1";
    wait::until_ok(wait::SOON, "her session to be at TCP of her home", async || {
        let answer = api.get(path).await.and_then(|answer| answer.expect(200));
        let answer = answer.map_err(|error| error.to_string())?;
        let is_at_tcp = |session: &Value| session["listener"] == Listener::TCP.to_string();
        let is_there = answer.items().len() == 1 && answer.items().iter().all(is_at_tcp);
        match is_there {
            true => Ok(()),
            false => Err(answer.text),
        }
    })
    .await
    .unwrap();
    assert!(alice.answers().await);
    assert_eq!(alice.client.connections(), 2, "{}", log.text());

    alice.client.restart().await.unwrap();
    alice.client.connected(wait::SOON).await.unwrap();
    let log = alice.client.log();
    assert!(log.contains(&at(&hosts[0], Listener::UDP)), "{}", log.text());
    alice.close().await;
}

#[tokio::test]
async fn who_gets_no_udp_through_comes_to_tcp_after_the_udp_of_all_nodes() {
    let Some(site) = at_both("listeners without udp", 2).await else {
        return;
    };
    for node in site.stack.nodes() {
        bars_udp(&node).await;
    }
    let text = site.create("alice").await;
    let hosts = hosts(&text);

    let alice = site.stack.start_client(&text, &ClientOptions::default()).await.unwrap();

    let took = alice.client.connected(wait::SOON).await.unwrap();
    eprintln!(
        "measured: who gets no UDP through was connected over TCP after {} ms",
        took.as_millis()
    );
    let log = alice.client.log();
    for host in &hosts {
        assert!(
            log.contains(&format!("link remote: [AF_INET]{host}:1194")),
            "{}",
            log.text()
        );
    }
    assert!(log.contains(&at_tcp(&hosts[0])), "{}", log.text());
    assert!(alice.answers().await);
    alice.close().await;
}

#[tokio::test]
async fn a_killed_openvpn_of_one_listener_is_started_again_and_the_other_serves_on() {
    let Some(site) = at_both("listeners killed openvpn", 1).await else {
        return;
    };
    let witnesses = site.create("witness").await;
    let text = site.create("alice").await;
    let witness = visit_at(&site, Listener::UDP, &witnesses).await;
    let alice = visit_at(&site, Listener::TCP, &text).await;
    let openvpn = Part::Openvpn(1);
    let before = site.stack.processes(openvpn);
    assert_eq!(before.len(), 2, "one process for each listener");

    before[1].kill().await;

    wait::until(wait::SOON, "OpenVPN of the second listener", async || {
        site.stack.processes(openvpn).len() == 2
    })
    .await
    .unwrap();
    let after = site.stack.processes(openvpn);
    assert_eq!(after[0], before[0], "the other one was started anew");
    assert_ne!(after[1], before[1]);
    alice.connection.client.connected_times(2, wait::SOON).await.unwrap();
    alice.pings.flows(5, wait::SOON).await.unwrap();
    witness.lost_nothing().await;
}
