//! What was said once changes: the address of the bus, and where clients reach a node.

use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use vpnmanager_testbed::{ports, stack::Part, wait};

use super::records::audited;
use crate::main_job::{
    profile,
    site::{Site, nodes::agent_when},
};

/// The bus moves while nobody is told beforehand: the nodes ask over HTTP.
#[tokio::test]
async fn a_bus_that_moved_is_found_over_http_and_nobody_enrols_again() {
    let mut site = Site::without_tunnels(2).await;
    site.create("alice").await;
    let before: Vec<Value> = [1, 2].map(|number| site.identity(number)).into();

    for part in [Part::Nats, Part::Management] {
        site.stack.stop_part(part).await.unwrap();
    }
    site.stack.move_bus().await.unwrap();

    let moved = format!("tls://127.0.0.1:{}", site.stack.state().nats_port);
    for number in [1, 2] {
        follows(&site, number, &moved).await;
    }
    let (api, suspend) = (site.stack.api(), json!({ "active": false }));
    let suspended = api.change_user("alice", &suspend, Some(wait::SOON)).await.unwrap();
    assert_eq!(suspended.expect(200).unwrap().body["synced"], true);
    for (number, before) in [1, 2].into_iter().zip(before) {
        let after = site.identity(number);
        assert_eq!(after["certificate"], before["certificate"], "it enrolled again");
        let log = site.stack.log(Part::Node(number)).text();
        assert!(
            log.contains(before["bus_urls"][0].as_str().unwrap()),
            "names the address it failed on: {log}"
        );
    }
    // What worked is kept: management is not needed for the next start.
    site.stack.stop_part(Part::Node(1)).await.unwrap();
    site.stack.stop_part(Part::Management).await.unwrap();
    site.stack.start_part(Part::Node(1)).await.unwrap();
    let local = site.stack.node(1).unwrap().api();
    let is_connected = |health: &Value| health["bus_connected"] == true;
    agent_when(&local, "node-1 to be connected", is_connected).await;
}

/// Another bus takes the place of the old one, with files that `bus-init` made anew: its certificates are another CA's, it knows none of the
/// nodes' credentials, and it holds no streams. Once it is somewhere else, once at the same address.
#[tokio::test]
async fn another_bus_with_another_ca_and_other_keys_is_found_and_nobody_enrols_again() {
    let mut site = Site::without_tunnels(2).await;
    site.create("alice").await;
    let ports = [ports::free().unwrap(), site.stack.state().nats_port];
    for (round, port) in (1..).zip(ports) {
        let before: Vec<Value> = [1, 2].map(|number| site.identity(number)).into();
        for part in [Part::Nats, Part::Management] {
            site.stack.stop_part(part).await.unwrap();
        }
        site.stack.replace_bus(port).await.unwrap();
        site.stack.start_part(Part::Management).await.unwrap();

        for (number, before) in [1, 2].into_iter().zip(before) {
            let trusts = async || site.identity(number)["bus_ca"] != before["bus_ca"];
            let what = format!("node-{number} to trust the new CA in round {round}");
            wait::until(wait::SOON * 3, what, trusts).await.unwrap();
            follows(&site, number, &format!("tls://127.0.0.1:{port}")).await;
            let after = site.identity(number);
            assert_ne!(after["bus_jwt"], before["bus_jwt"], "round {round}");
            assert_eq!(
                after["certificate"], before["certificate"],
                "round {round}: it enrolled again"
            );
        }
        let name = format!("bob-{round}");
        site.create(&name).await;
        let (api, suspend) = (site.stack.api(), json!({ "active": false }));
        let suspended = api.change_user(&name, &suspend, Some(wait::SOON)).await.unwrap();
        assert_eq!(suspended.expect(200).unwrap().body["synced"], true);
    }
    assert_eq!(site.all_synced(wait::SOON).await, 3);
}

/// Nodes that were told the next address at a handshake find the bus there while management is away.
#[tokio::test]
async fn a_bus_that_moves_where_the_nodes_were_told_is_found_without_management() {
    let mut site = Site::without_tunnels(1).await;
    site.create("alice").await;
    let next = ports::free().unwrap();
    let next_url = format!("tls://127.0.0.1:{next}");
    site.stack.stop_part(Part::Management).await.unwrap();
    let told = [("BUS_PUBLIC_URLS", next_url.as_str())];
    site.stack.launch_part_with(Part::Management, &told).unwrap();
    wait::until(wait::SOON, "the node to be told", async || {
        site.identity(1)["told_bus"]["urls"][0] == next_url
    })
    .await
    .unwrap();
    assert_ne!(site.identity(1)["bus_urls"][0], next_url, "what works is kept");

    for part in [Part::Management, Part::Nats] {
        site.stack.stop_part(part).await.unwrap();
    }
    site.stack.start_bus_at(next).await.unwrap();
    follows(&site, 1, &next_url).await;
}

/// Management says over HTTP where the bus is, and the way there is not open yet. A node that finds nobody there goes on to look.
#[tokio::test]
async fn a_bus_that_comes_up_after_the_nodes_were_told_is_found_without_asking_again() {
    let mut site = Site::without_tunnels(1).await;
    site.create("alice").await;
    let next = ports::free().unwrap();
    let next_url = format!("tls://127.0.0.1:{next}");
    for part in [Part::Management, Part::Nats] {
        site.stack.stop_part(part).await.unwrap();
    }
    site.stack.start_bus_at(ports::free().unwrap()).await.unwrap();
    let told = [("BUS_PUBLIC_URLS", next_url.as_str())];
    site.stack.launch_part_with(Part::Management, &told).unwrap();
    wait::until(wait::SOON, "the node to be told", async || {
        site.identity(1)["told_bus"]["urls"][0] == next_url
    })
    .await
    .unwrap();
    site.stack.stop_part(Part::Management).await.unwrap();

    let listener = TcpListener::bind(("127.0.0.1", next)).await.unwrap();
    let bus = ("127.0.0.1", site.stack.state().nats_port);
    let mut passing = JoinSet::new();
    passing.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut node, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let mut bus = TcpStream::connect(bus).await.unwrap();
                // It ends with either of them.
                let _ended = copy_bidirectional(&mut node, &mut bus).await;
            });
        }
    });
    follows(&site, 1, &next_url).await;
}

/// An agent that was configured anew says so, and profiles name the new place.
#[tokio::test]
async fn a_node_that_was_configured_anew_is_reached_where_its_new_profiles_say() {
    let Some(mut site) = Site::with_tunnels("changed endpoint").await else {
        return;
    };
    let old = site.create_at("alice", "node-1").await;
    site.stack.stop_part(Part::Node(1)).await.unwrap();
    let changed = [
        ("PUBLIC_PORT", "1300"),
        ("PROTOCOL", "tcp"),
        ("OPENVPN_MAX_CLIENTS", "77"),
    ];
    site.stack.launch_part_with(Part::Node(1), &changed).unwrap();

    let node = site
        .endnode_when("node-1", "to say its new port", |node| node["port"] == 1300)
        .await;
    assert_eq!((&node["protocol"], &node["capacity"]), (&json!("tcp"), &json!(77)));
    site.endnode_when("node-1", "to be healthy", |node| node["state"] == "healthy")
        .await;
    let new = site.stack.api().profile("alice").await.unwrap();
    let [home, other] = profile::hosts(&old)[..] else {
        panic!("two servers: {old}")
    };
    // UDP of all nodes comes first, and her home has TCP alone.
    let expected = [
        format!("remote {other} 1194 udp"),
        format!("remote {home} 1300 tcp-client"),
    ];
    assert_eq!(profile::remotes(&new), expected);
    site.lets_in(&new).await;
    let user = site.stack.api().user("alice").await.unwrap();
    assert_eq!(
        (&user.body["port"], &user.body["protocol"]),
        (&json!(1300), &json!("tcp"))
    );
    let entries = audited(&site, "node_endpoint_changed").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["after"]["public_port"], 1300);
}

/// A node asks for another pool and stays where it is until an operator moves it. Its users stay in their pool.
#[tokio::test]
async fn a_node_is_moved_to_the_pool_that_it_asks_for_and_leaves_its_users_behind() {
    let mut site = Site::without_tunnels(2).await;
    for username in ["alice", "bob", "carol", "dave"] {
        site.create(username).await;
    }
    site.stack.stop_part(Part::Node(1)).await.unwrap();
    site.stack
        .launch_part_with(Part::Node(1), &[("POOL", "sales")])
        .unwrap();
    let node = site
        .endnode_when("node-1", "to be degraded", |node| node["state"] == "degraded")
        .await;
    assert_eq!(
        (&node["pool"], &node["asked_pool"]),
        (&json!("default"), &json!("sales"))
    );
    let reason = node["state_reason"].as_str().unwrap();
    assert!(reason.contains("/api/endnodes/node-1/move"), "{reason}");

    let api = site.stack.api();
    let to_sales = json!({ "pool": "sales" });
    api.post("/api/endnodes/node-1/move", &to_sales)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    let holds_nobody =
        |node: &Value| node["sync"]["wanted"] == 0 && node["sync"]["pending"] == 0 && node["state"] == "healthy";
    let node = site.endnode_when("node-1", "to hold nobody", holds_nobody).await;
    assert_eq!((&node["pool"], &node["asked_pool"]), (&json!("sales"), &Value::Null));
    site.all_synced(wait::SOON).await;
    for user in api.users("").await.unwrap().items() {
        assert_eq!(user["server_id"], "node-2", "{user}");
    }
    let refused = api.post("/api/endnodes/node-2/move", &to_sales).await.unwrap();
    let refused = refused.expect(409).unwrap();
    assert!(refused.text.contains("default"), "{}", refused.text);

    let back = json!({ "pool": "default" });
    api.post("/api/endnodes/node-1/move", &back)
        .await
        .unwrap()
        .expect(200)
        .unwrap();
    site.endnode_when("node-1", "to get its users again", |node| node["sync"]["wanted"] == 4)
        .await;
    site.all_synced(wait::SOON).await;
    assert_eq!(audited(&site, "node_moved").await.len(), 2);
}

/// The node uses the bus at this address, and is in sync.
async fn follows(site: &Site, number: u8, url: &str) {
    let node = site.stack.node(number).unwrap();
    let is_there = |health: &Value| site.identity(number)["bus_urls"][0] == url && health["bus_connected"] == true;
    agent_when(&node.api(), format_args!("node-{number} to follow the bus"), is_there).await;
}
