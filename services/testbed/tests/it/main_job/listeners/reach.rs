//! What clients reach by each listener.

use std::net::Ipv4Addr;

use serde_json::json;
use vpnmanager_testbed::{stack::Listener, wait};

use super::{at_both, connect_at, places};
use crate::main_job::network::{inner_address, pings, pushed_resolver, reaches, reaches_all, set_network, whole};

#[tokio::test]
async fn a_stock_client_reaches_the_service_host_by_each_listener_over_both_families_and_by_name() {
    let Some(site) = at_both("listeners reach", 2).await else {
        return;
    };
    let service = site.stack.service().unwrap();
    set_network(&site, &whole(service)).await;
    let profile = site.create("alice").await;
    // UDP of all nodes, then TCP of all nodes.
    let expected = ["1194 udp", "1194 udp", "443 tcp-client", "443 tcp-client"];
    assert_eq!(places(&profile), expected, "{profile}");

    for (slice, listener) in (0_u8..).zip(Listener::BOTH) {
        let alice = connect_at(&site, listener, &profile).await;

        reaches_all(service, &alice).await;
        alice.namespace.set_resolver(pushed_resolver(&alice)).await.unwrap();
        reaches(service, &alice, &service.url()).await;
        assert!(alice.answers().await, "the server at {listener} does not answer");
        let address: Ipv4Addr = inner_address(&alice).await.parse().unwrap();
        let [_, _, third, _] = address.octets();
        assert_eq!(third / 128, slice, "{address} is in the slice of another listener");
        alice.close().await;
    }
}

#[tokio::test]
async fn clients_of_different_listeners_reach_each_other_exactly_where_the_pool_says_so() {
    let Some(site) = at_both("listeners client to client", 1).await else {
        return;
    };
    let [alices, bobs] = [site.create("alice").await, site.create("bob").await];
    let service = site.stack.service().unwrap();
    set_network(&site, &whole(service)).await;
    let alice = connect_at(&site, Listener::UDP, &alices).await;
    let bob = connect_at(&site, Listener::TCP, &bobs).await;
    // Whatever routes they add by hand.
    let by_hand = [(&alice, "10.8.128.0/17"), (&bob, "10.8.0.0/17")];
    for (client, other) in by_hand {
        let line = format!("ip route add {other} via {}", client.server());
        client.namespace.run(&line).await.unwrap();
    }
    assert!(
        !pings(&alice, &inner_address(&bob).await).await,
        "clients reach each other unasked"
    );

    let mut network = whole(service);
    network["client_to_client"] = json!(true);
    set_network(&site, &network).await;

    assert!(pings(&alice, &inner_address(&bob).await).await);
    assert!(pings(&bob, &inner_address(&alice).await).await);
    for connection in [alice, bob] {
        connection.close().await;
    }
    // Who logs in is told of the way.
    let alice = connect_at(&site, Listener::UDP, &alices).await;
    let bob = connect_at(&site, Listener::TCP, &bobs).await;
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        let address = inner_address(to).await;
        wait::until(wait::SOON, "the other listener's client to answer", async || {
            pings(from, &address).await
        })
        .await
        .unwrap();
    }
    for connection in [alice, bob] {
        connection.close().await;
    }
}
