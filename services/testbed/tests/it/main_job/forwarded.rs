//! A node behind a router that forwards one port to another: clients dial the one, OpenVPN listens on the other.

use serde_json::Value;
use vpnmanager_testbed::{net::require_tunnels, stack::StackOptions};

use super::{profile, site::Site};

#[tokio::test]
async fn clients_dial_the_public_port_and_openvpn_listens_on_its_own() {
    let Some(()) = require_tunnels("forwarded port") else {
        return;
    };
    let env = [("PUBLIC_PORT", "443"), ("OPENVPN_PORT", "1300")];
    let site = Site::start(StackOptions {
        nodes: 1,
        node_env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..StackOptions::default()
    })
    .await;
    let profile = site.create("alice").await;
    let remotes = profile::remotes(&profile);
    assert!(remotes[0].ends_with(" 443"), "{remotes:?}");

    // The router.
    let node = site.stack.node(1).unwrap();
    let namespace = node.namespace().unwrap();
    for line in [
        "nft add table ip router",
        "nft add chain ip router prerouting { type nat hook prerouting priority -100 ; }",
        "nft add rule ip router prerouting udp dport 443 redirect to :1300",
    ] {
        namespace.run(line).await.unwrap();
    }
    site.lets_in(&profile).await;
    let is_healthy = |node: &Value| node["port"] == 443 && node["state"] == "healthy";
    site.endnode_when("node-1", "to be healthy", is_healthy).await;
}
