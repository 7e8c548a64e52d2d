//! Every address of the machine that a profile may name answers.

use std::net::Ipv4Addr;

use vpnmanager_endnode::backend::VpnBackend as _;
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{net::Namespace, ping, wait};

use crate::{
    agent::Agent,
    fleet::{Fleet, INSIDE},
};

const IPV6: &str = "fd00:198:18::11";

async fn adds(namespace: &Namespace, address: &str) {
    let line = format!(
        "ip address add {address} dev eth0 {}",
        if address.contains(':') { "nodad" } else { "" }
    );
    namespace.run(&line).await.expect("an address");
}

async fn gets_in(fleet: &Fleet, agent: &Agent, (username, host): (&str, &str)) {
    let (name, profile) = fleet.credential_for(username, host);
    agent.allow(&name).await;
    let machine = fleet.machine().await;
    let [.., number] = machine.address.octets();
    adds(&machine, &format!("fd00:198:18::1:{number}/64")).await;
    let client = fleet.client(&machine, &profile, username);
    client.connected(wait::SOON).await.expect(host);
    assert!(ping::once(&machine, INSIDE).await, "no traffic through {host}");
    agent.has_sessions(&[&name]).await;
    let from = agent.backend.sessions().await.expect("sessions")[0]
        .real_address
        .clone();
    // Whatever the family of the server's socket; the port of an IPv6 client is not told before OpenVPN 2.7.
    let is_own = if host.contains(':') {
        from.trim_start_matches('[')
            .starts_with(&format!("fd00:198:18::1:{number}"))
    } else {
        from.starts_with(&format!("{}:", machine.address))
    };
    assert!(is_own, "{from}");
    assert_eq!(agent.deny(&name).await.count, 1);
    agent.has_sessions(&[]).await;
}

async fn each_address_answers(protocol: Protocol) {
    let Some(fleet) = Fleet::build(protocol).await else {
        return;
    };
    let first = fleet.node().address;
    let [a, b, c, _] = first.octets();
    let second = Ipv4Addr::new(a, b, c, 99);
    adds(fleet.node(), &format!("{second}/24")).await;
    adds(fleet.node(), &format!("{IPV6}/64")).await;
    let agent = fleet.start().await;
    for user in [
        ("alice", first.to_string()),
        ("bob", second.to_string()),
        ("carol", IPV6.to_owned()),
    ] {
        gets_in(&fleet, &agent, (user.0, &user.1)).await;
    }
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_udp_the_first_and_the_second_ipv4_address_and_the_ipv6_address_answer() {
    each_address_answers(Protocol::Udp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_the_first_and_the_second_ipv4_address_and_the_ipv6_address_answer() {
    each_address_answers(Protocol::Tcp).await;
}
