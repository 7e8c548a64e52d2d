//! Nodes with several listeners: what is promised holds on each of them, whichever a client came by.

mod access;
mod changed;
pub(super) mod mtu;
mod nodes;
mod reach;

use vpnmanager_testbed::{
    client::ClientOptions,
    net::require_tunnels,
    stack::{Connection, Listener, StackOptions},
    wait,
};

use super::{
    profile,
    site::{Site, Visitor},
};

/// So many nodes, each at UDP 1194 and TCP 443, with a service host behind them.
pub(super) fn both(nodes: u8) -> StackOptions {
    StackOptions {
        nodes,
        listeners: vec![Listener::BOTH.to_vec(); usize::from(nodes)],
        service: true,
        // What a node has applied, and how many sessions it has, is told by its heartbeats.
        node_env: vec![("HEARTBEAT_INTERVAL".to_owned(), "1s".to_owned())],
        ..StackOptions::default()
    }
}

async fn at_both(test: &str, nodes: u8) -> Option<Site> {
    require_tunnels(test)?;
    Some(Site::start(both(nodes)).await)
}

/// Connects with a profile by this listener alone.
pub(super) async fn connect_at(site: &Site, listener: Listener, profile: &str) -> Connection {
    let options = ClientOptions {
        port: Some(listener.port),
        ..ClientOptions::default()
    };
    connect_as(site, &options, profile).await
}

/// Connects with a profile as such a client.
pub(super) async fn connect_as(site: &Site, options: &ClientOptions, profile: &str) -> Connection {
    let connection = site.stack.start_client(profile, options).await.unwrap();
    connection.client.connected(wait::SOON).await.unwrap();
    connection
}

/// Connects with a profile by this listener alone, and begins to ping.
pub(super) async fn visit_at(site: &Site, listener: Listener, profile: &str) -> Visitor {
    Visitor::begin(connect_at(site, listener, profile).await).await
}

/// What the profile's `remote` lines say after the host, in their order.
fn places(text: &str) -> Vec<String> {
    let remotes = profile::remotes(text).into_iter();
    let words = remotes.map(|remote| remote.split_whitespace().skip(2).collect::<Vec<_>>().join(" "));
    words.collect()
}
