//! A VPN that leads somewhere: clients reach a service host behind the nodes, and nothing else.

use std::net::IpAddr;

use serde_json::{Value, json};
use vpnmanager_testbed::{
    net::require_tunnels,
    stack::{Connection, Part, SERVICE_NAME, ServiceState, StackOptions},
    wait,
};

use super::site::Site;

async fn with_service(test: &str, nodes: u8) -> Option<Site> {
    require_tunnels(test)?;
    let options = StackOptions {
        nodes,
        service: true,
        ..StackOptions::default()
    };
    Some(Site::start(options).await)
}

/// Sets the network of the pool, and waits until every node has applied it.
pub(super) async fn set_network(site: &Site, network: &Value) {
    let api = site.stack.api();
    let changed = api.set_network("default", network).await.unwrap().expect(200).unwrap();
    let wanted = changed.body["revision"].clone();
    wait::until_ok(wait::SOON, "every node to apply the network", async || {
        let nodes = api.get("/api/endnodes").await.map_err(|error| error.to_string())?;
        let is_applied = |node: &Value| match network.is_null() {
            true => node["network"].is_null(),
            false => node["network"]["applied_revision"] == wanted,
        };
        match nodes.items().iter().all(is_applied) {
            true => Ok(()),
            false => Err(nodes.text),
        }
    })
    .await
    .unwrap();
}

/// Waits until the page is there: a route of a client may come a moment after the tunnel.
pub(super) async fn reaches(service: &ServiceState, connection: &Connection, url: &str) {
    wait::until(
        wait::SOON,
        format_args!("the page {url} through the tunnel"),
        async || service.is_reached_from(&connection.namespace, url).await,
    )
    .await
    .unwrap_or_else(|error| panic!("{error}\n{}", connection.client.log().text()));
}

/// Over every family that the kernel has.
pub(super) async fn reaches_all(service: &ServiceState, connection: &Connection) {
    for url in service.urls() {
        reaches(service, connection, &url).await;
    }
}

/// The page by the IPv4 address.
fn by_address(service: &ServiceState) -> String {
    service.urls().next().unwrap()
}

pub(super) fn whole(service: &ServiceState) -> Value {
    json!({
        "routes": service.networks,
        "dns_servers": [service.resolver()],
        "search_domains": ["internal.example"],
    })
}

/// The last DNS server that the server pushed.
pub(super) fn pushed_resolver(connection: &Connection) -> IpAddr {
    let log = connection.client.log().text();
    let pushed = log.rsplit_once("dhcp-option DNS ").expect("a pushed resolver").1;
    let end = pushed.find([',', '\'']).unwrap();
    pushed[..end].parse().unwrap()
}

#[tokio::test]
async fn a_client_reaches_the_service_host_by_address_and_by_name_over_both_families() {
    let Some(site) = with_service("network-reach", 2).await else {
        return;
    };
    let service = site.stack.service().unwrap();
    let profile = site.create("alice").await;
    let before = site.connect(&profile).await;
    assert!(
        !service.is_reached_from(&before.namespace, &by_address(service)).await,
        "the service host is reached without a network"
    );
    before.close().await;
    let servers: Vec<_> = site.stack.nodes().map(|node| node.openvpn()).collect();

    set_network(&site, &whole(service)).await;

    let alice = site.connect(&profile).await;
    reaches_all(service, &alice).await;
    alice.namespace.set_resolver(pushed_resolver(&alice)).await.unwrap();
    reaches(service, &alice, &format!("http://{SERVICE_NAME}/")).await;
    let now: Vec<_> = site.stack.nodes().map(|node| node.openvpn()).collect();
    assert_eq!(now, servers, "OpenVPN was started anew for a route");
    alice.close().await;
}

#[tokio::test]
async fn a_client_reaches_only_what_is_routed_whatever_routes_it_adds() {
    let Some(site) = with_service("network-only", 1).await else {
        return;
    };
    let service = site.stack.service().unwrap();
    let IpAddr::V4(address) = service.resolver() else {
        panic!("an IPv4 address")
    };
    let [a, b, c, _] = address.octets();
    let other = format!("{a}.{b}.{c}.3");
    service
        .namespace
        .run(&format!("ip addr add {other}/24 dev eth0"))
        .await
        .unwrap();
    set_network(&site, &json!({ "routes": [format!("{address}/32")] })).await;
    let alice_profile = site.create("alice").await;
    let alice = site.connect(&alice_profile).await;
    reaches(service, &alice, &by_address(service)).await;
    let bob_profile = site.create("bob").await;
    let bob = site.connect(&bob_profile).await;
    let to_all = format!("ip route add {a}.{b}.{c}.0/24 via 10.8.0.1");

    alice.namespace.run(&to_all).await.unwrap();

    let other = format!("http://{other}/");
    assert!(
        service.is_reached_from(&service.namespace, &other).await,
        "the page is there"
    );
    assert!(
        !service.is_reached_from(&alice.namespace, &other).await,
        "an address that is not routed"
    );
    assert!(
        !pings(&alice, &inner_address(&bob).await).await,
        "clients reach each other unasked"
    );

    let both = json!({ "routes": [format!("{address}/32")], "client_to_client": true });
    set_network(&site, &both).await;
    assert!(
        pings(&alice, &inner_address(&bob).await).await,
        "clients may reach each other"
    );
    for connection in [alice, bob] {
        connection.close().await;
    }
}

/// The address of a client inside the tunnel, as its own kernel has it.
pub(super) async fn inner_address(connection: &Connection) -> String {
    let shown = connection.namespace.run("ip -4 -o addr show dev tun0").await.unwrap();
    let address = shown.split_whitespace().nth(3).unwrap();
    address.split_once('/').unwrap().0.to_owned()
}

pub(super) async fn pings(from: &Connection, address: &str) -> bool {
    from.namespace
        .run(&format!("ping -n -c 1 -W 1 {address}"))
        .await
        .is_ok()
}

#[tokio::test]
async fn rules_of_others_stay_and_ours_come_back_and_close() {
    let Some(site) = with_service("network-rules", 1).await else {
        return;
    };
    let service = site.stack.service().unwrap();
    let node = site.stack.node(1).unwrap().namespace().unwrap();
    let others =
        "table inet theirs {\n chain forward {\n type filter hook forward priority 10;\n counter accept\n }\n}\n";
    let file = site.stack.state().dir.join("theirs.nft");
    std::fs::write(&file, others).unwrap();
    node.run(&format!("nft -f {}", file.display())).await.unwrap();
    // Counters count what passes.
    let theirs = || async { node.run("nft --stateless list table inet theirs").await.unwrap() };
    let before = theirs().await;
    set_network(&site, &whole(service)).await;
    let profile = site.create("alice").await;
    let alice = site.connect(&profile).await;
    let url = by_address(service);
    reaches(service, &alice, &url).await;

    node.run("nft flush table inet vpnmanager").await.unwrap();

    wait::until(wait::SOON, "the rules to be put back", async || {
        let ours = node.run("nft list table inet vpnmanager").await.unwrap_or_default();
        ours.contains("masquerade")
    })
    .await
    .unwrap();
    reaches(service, &alice, &url).await;
    assert_eq!(theirs().await, before);

    set_network(&site, &Value::Null).await;
    wait::until(wait::SOON, "nothing to pass any more", async || {
        let ours = node.run("nft list table inet vpnmanager").await.unwrap();
        !ours.contains("masquerade") && !service.is_reached_from(&alice.namespace, &url).await
    })
    .await
    .unwrap();
    assert_eq!(theirs().await, before);
    alice.close().await;
}

#[tokio::test]
async fn who_logs_in_while_the_agent_is_dead_reaches_what_is_routed() {
    let Some(mut site) = with_service("network-dead-agent", 1).await else {
        return;
    };
    let service = site.stack.service().unwrap().clone();
    set_network(&site, &whole(&service)).await;
    let profile = site.create("alice").await;

    site.stack.kill_part(Part::Node(1)).await.unwrap();

    let alice = site.connect(&profile).await;
    reaches_all(&service, &alice).await;
    alice.close().await;
}

#[tokio::test]
async fn with_everything_through_the_tunnel_a_client_changes_its_node_and_reaches_on() {
    let Some(mut site) = with_service("network-all", 2).await else {
        return;
    };
    let service = site.stack.service().unwrap().clone();
    set_network(&site, &json!({ "redirect_gateway": true })).await;
    let profile = site.create("alice").await;
    let alice = site.connect(&profile).await;
    reaches_all(&service, &alice).await;

    let number = site.first_node(&profile);
    site.kill_node(number).await;

    alice.client.connected_times(2, wait::SOON).await.unwrap();
    reaches_all(&service, &alice).await;
    alice.close().await;
}
