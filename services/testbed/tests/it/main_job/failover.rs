//! A dead node: its users move to the next one in their profiles by themselves.

use std::time::{Duration, SystemTime};

use super::{
    profile,
    site::{SOON, Site},
};

const SILENCE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_client_moves_to_the_second_node_when_the_cable_of_the_first_is_pulled() {
    let Some(site) = Site::with_tunnels("failover").await else {
        return;
    };
    let text = site.create("alice").await;
    let hosts = profile::hosts(&text);
    let mut nodes = site.stack.nodes();
    let home = nodes
        .find(|node| node.namespace().unwrap().address.to_string() == hosts[0])
        .unwrap();
    let alice = site.visit(&text).await;
    let reached = |host: &str| format!("Peer Connection Initiated with [AF_INET]{host}:");
    assert!(alice.connection.client.log().contains(&reached(hosts[0])));

    let pulled = SystemTime::now();
    home.namespace().unwrap().cut().await.unwrap();

    let last = alice.pings.falls_silent(pulled, SILENCE, SOON).await.unwrap();
    alice.pings.flows(10, 2 * SOON).await.unwrap();
    let gap = pulled.elapsed().unwrap().saturating_sub(last);
    eprintln!(
        "measured: the tunnel was back {} ms after the cable was pulled",
        gap.as_millis()
    );
    assert!(alice.connection.client.log().contains(&reached(hosts[1])));
    // And who comes anew does not need the first node either.
    site.visit(&text).await.connection.close().await;
}
