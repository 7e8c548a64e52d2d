//! The MTU of a pool: how large packets pass the tunnel of each listener.

use serde_json::json;
use vpnmanager_testbed::{
    net::Namespace,
    stack::{Connection, Listener, Part},
    wait,
};

use super::{at_both, connect_at};
use crate::main_job::{
    network::{inner_address, set_network, whole},
    site::Site,
};

/// What a ping adds to its payload: the headers of IPv4 and ICMP, in bytes.
const HEADERS: u16 = 28;
pub(in crate::main_job) const MTU: u16 = 1320;
const USUAL: u16 = 1500;
const DEVICES: [&str; 2] = ["vpn-udp1194", "vpn-tcp443"];

/// Whether a packet of so many bytes that nobody may divide is answered by one of the same size.
async fn passes(from: &Namespace, address: &str, bytes: u16) -> bool {
    let payload = bytes - HEADERS;
    let ping = format!("ping -n -c 1 -W 1 -M do -s {payload} {address}");
    from.run(&ping).await.is_ok()
}

/// Panics unless packets of this size are the largest that pass, from the client to the node and back.
pub(in crate::main_job) async fn largest_is(site: &Site, client: &Connection, mtu: u16) {
    let node = site.stack.node(1).unwrap().namespace().unwrap();
    let (inside, server) = (inner_address(client).await, client.server().to_string());
    for (from, address) in [(&client.namespace, &server), (node, &inside)] {
        let what = format!("a packet of {mtu} bytes from {} to {address}", from.name);
        wait::until(wait::SOON, &what, async || passes(from, address, mtu).await)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", client.client.log().text()));
        assert!(!passes(from, address, mtu + 1).await, "one byte more than {what}");
    }
}

/// The same by each listener, after a fresh login with this profile.
async fn largest_is_by_each(site: &Site, profile: &str, mtu: u16) {
    for listener in Listener::BOTH {
        let alice = connect_at(site, listener, profile).await;
        largest_is(site, &alice, mtu).await;
        alice.close().await;
    }
}

/// kill -9 of all OpenVPNs of the node, until the agent has started them again and their devices have this MTU.
async fn comes_back_with(site: &Site, mtu: u16) {
    let openvpn = Part::Openvpn(1);
    let before = site.stack.processes(openvpn);
    for process in &before {
        process.kill().await;
    }
    wait::until(wait::SOON, "OpenVPN of each listener", async || {
        let now = site.stack.processes(openvpn);
        now.len() == before.len() && !now.iter().any(|process| before.contains(process))
    })
    .await
    .unwrap();
    let node = site.stack.node(1).unwrap().namespace().unwrap();
    for device in DEVICES {
        let line = format!("ip -o link show dev {device}");
        wait::until(wait::SOON, format_args!("the MTU of {device}"), async || {
            let shown = node.run(&line).await.unwrap_or_default();
            shown.contains(&format!(" mtu {mtu} "))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn packets_of_the_mtu_of_the_pool_pass_both_ways_by_each_listener_and_larger_ones_do_not() {
    let Some(site) = at_both("listeners mtu", 1).await else {
        return;
    };
    let api = site.stack.api();
    let service = site.stack.service().unwrap();
    let before = site.create("alice").await;
    let mut network = whole(service);
    network["mtu"] = json!(MTU);

    set_network(&site, &network).await;

    let profile = api.profile("alice").await.unwrap();
    assert!(profile.contains("\ntun-mtu 1320\n"), "{profile}");
    largest_is_by_each(&site, &profile, MTU).await;
    // A profile that was fetched before the change goes on to work.
    site.lets_in(&before).await;

    comes_back_with(&site, MTU).await;
    largest_is_by_each(&site, &profile, MTU).await;

    set_network(&site, &whole(service)).await;
    let profile = api.profile("alice").await.unwrap();
    assert_eq!(profile, before);
    largest_is_by_each(&site, &profile, USUAL).await;
}
