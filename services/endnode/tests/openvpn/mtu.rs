//! The MTU of a pool: of the devices of real OpenVPNs, and of clients.

use std::fs;

use vpnmanager_nats::network::{Mtu, Network};
use vpnmanager_profile::profile::Extras;
use vpnmanager_testbed::{net::Namespace, ping, wait};

use crate::{
    fleet::{Fleet, INSIDE},
    network::{PUT_BACK_WITHIN, network},
    upkeep::Upkeep,
};

const DEVICES: [&str; 2] = ["vpn-udp1194", "vpn-tcp443"];

fn mtu(bytes: u16) -> Mtu {
    Mtu::try_from(bytes).expect("an MTU")
}

fn with_mtu(bytes: u16) -> Option<Network> {
    Some(Network {
        mtu: Some(mtu(bytes)),
        ..network(&["10.20.0.0/16"])
    })
}

/// Whether a device has this MTU, as its kernel says.
async fn has(machine: &Namespace, device: &str, bytes: u16) -> bool {
    let shown = machine.run(&format!("ip -o link show dev {device}")).await;
    shown.is_ok_and(|shown| shown.contains(&format!(" mtu {bytes} ")))
}

async fn comes_to_have(machine: &Namespace, device: &str, bytes: u16) {
    wait::until(
        PUT_BACK_WITHIN,
        format_args!("{device} to have an MTU of {bytes}"),
        async || has(machine, device, bytes).await,
    )
    .await
    .expect("the MTU");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_devices_of_all_listeners_have_the_mtu_of_the_pool_whatever_happens_to_them() {
    let Some(fleet) = Fleet::build_with("udp:1194,tcp:443", Some("fd00:8::/64")).await else {
        return;
    };
    let agent = fleet.start().await;
    let upkeep = Upkeep::start(&fleet, &agent);
    let node = fleet.node();
    upkeep.applies(1, with_mtu(1320)).await;
    for device in DEVICES {
        comes_to_have(node, device, 1320).await;
    }

    node.run("ip link set dev vpn-tcp443 mtu 1400").await.expect("ip");
    comes_to_have(node, "vpn-tcp443", 1320).await;

    let pid_file = fleet.managed.dir.join("openvpn.pid");
    let killed = fs::read_to_string(&pid_file).expect("a pid");
    node.run(&format!("kill -9 {}", killed.trim())).await.expect("kill");
    let is_new = async || fs::read_to_string(&pid_file).is_ok_and(|pid| !pid.trim().is_empty() && pid != killed);
    wait::until(wait::SOON, "the next OpenVPN", is_new)
        .await
        .expect("it starts");
    comes_to_have(node, "vpn-udp1194", 1320).await;
    assert!(has(node, "vpn-tcp443", 1320).await);

    upkeep.applies(2, Some(network(&["10.20.0.0/16"]))).await;
    for device in DEVICES {
        assert!(has(node, device, 1500).await, "{device}");
    }
    upkeep.applies(3, with_mtu(1280)).await;
    for device in DEVICES {
        assert!(has(node, device, 1280).await, "{device}");
    }
    upkeep.applies(4, None).await;
    for device in DEVICES {
        assert!(has(node, device, 1500).await, "{device}");
    }
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_takes_the_mtu_that_is_pushed_where_its_profile_says_one_and_goes_on_without() {
    let Some(fleet) = Fleet::build_with("udp:1194", None).await else {
        return;
    };
    let agent = fleet.start().await;
    let upkeep = Upkeep::start(&fleet, &agent);
    // The pool said another one when the profile was fetched.
    upkeep.applies(1, with_mtu(1320)).await;
    let extras = Extras {
        mtu: Some(mtu(1400)),
        ..Extras::default()
    };
    let host = fleet.node().address.to_string();
    for (username, extras, expected) in [("alice", &extras, 1320), ("bob", &Extras::default(), 1500)] {
        let (name, profile) = fleet.credential_with(username, &host, extras);
        agent.allow(&name).await;
        let machine = fleet.machine().await;
        let client = fleet.client(&machine, &profile, username);
        client.connected(wait::SOON).await.expect("connected");
        assert!(has(&machine, "tun0", expected).await, "{}", client.log().text());
        assert!(ping::once(&machine, INSIDE).await, "no traffic of {username}");
    }

    upkeep.applies(2, Some(network(&["10.20.0.0/16"]))).await;
    let (name, profile) = fleet.credential_with("carol", &host, &extras);
    agent.allow(&name).await;
    let machine = fleet.machine().await;
    let client = fleet.client(&machine, &profile, "carol");
    client.connected(wait::SOON).await.expect("connected");
    assert!(has(&machine, "tun0", 1400).await, "{}", client.log().text());
    assert!(ping::once(&machine, INSIDE).await, "no traffic of carol");
    drop(client);
    upkeep.ends();
    fleet.end(agent).await;
}
