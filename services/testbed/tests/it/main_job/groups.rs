//! Groups: what their members reach through the tunnel. Each node holds them to it, also while its agent is dead.

mod limits;
mod listeners;
mod own;
mod scene;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, SystemTime},
};

use serde_json::json;
use vpnmanager_testbed::{
    ping::PingStream,
    stack::{Connection, Part, SERVICE_NAME},
    wait,
};

use super::{
    network::{inner_address, pings, reaches_all, set_network, whole},
    site::{SILENCE, Site, assert_synced},
};
use scene::{ALSO, PAGE, Scene, pages, prefixes, web};

/// So soon a change of the rules holds for sessions that are there.
const AT_ONCE: Duration = wait::under_load(Duration::from_secs(2));

/// Whether the client has one of the addresses that belong to credentials: the upper half of those of the tunnel.
async fn has_fixed_address(who: &Connection) -> bool {
    let address: Ipv4Addr = inner_address(who).await.parse().unwrap();
    address.octets()[2] >= 128
}

#[tokio::test]
async fn two_groups_reach_different_hosts_and_ports_also_while_the_agent_is_dead() {
    let Some(mut scene) = Scene::set("groups", 1).await else {
        return;
    };
    let alices = scene.site.create_in("alice", "engineering").await;
    let bobs = scene.site.create_in("bob", "sales").await;
    let carols = scene.site.create_in("carol", "sales").await;
    let daves = scene.site.create("dave").await;
    let (alice, bob) = (scene.site.connect(&alices).await, scene.site.connect(&bobs).await);
    let dave = scene.site.connect(&daves).await;
    scene.is_engineer(&alice).await;
    scene.is_seller(&bob).await;
    scene.is_held_to_nothing(&dave).await;
    for (who, is_member) in [(&alice, true), (&bob, true), (&dave, false)] {
        assert_eq!(has_fixed_address(who).await, is_member);
    }

    scene.site.stack.kill_part(Part::Node(1)).await.unwrap();

    scene.is_engineer(&alice).await;
    for connection in [alice, bob, dave] {
        connection.close().await;
    }
    let alice = scene.site.connect(&alices).await;
    scene.is_engineer(&alice).await;
    let bob = scene.site.connect(&bobs).await;
    scene.is_seller(&bob).await;
    // Carol has never been connected before.
    let carol = scene.site.connect(&carols).await;
    scene.is_seller(&carol).await;
    let dave = scene.site.connect(&daves).await;
    scene.is_held_to_nothing(&dave).await;

    scene.site.stack.start_part(Part::Node(1)).await.unwrap();

    scene.is_applied().await;
    scene.is_engineer(&alice).await;
    scene.is_seller(&carol).await;
    for connection in [alice, bob, carol, dave] {
        assert_eq!(connection.client.connections(), 1, "the next agent disturbed it");
        connection.close().await;
    }
}

#[tokio::test]
async fn a_change_of_the_rules_holds_at_once_for_a_session_that_is_there() {
    let Some(scene) = Scene::set("rules of a group", 1).await else {
        return;
    };
    let alice = scene
        .site
        .connect(&scene.site.create_in("alice", "engineering").await)
        .await;
    scene.is_engineer(&alice).await;
    let IpAddr::V4(host) = scene.other[0] else {
        panic!("the first address is one of IPv4");
    };
    let dir = scene.site.stack.state().dir.clone();
    let stream = PingStream::start(&alice.namespace, host, (&dir, "ping-other")).unwrap();
    stream.flows(5, wait::SOON).await.unwrap();

    let began = SystemTime::now();
    scene
        .change("engineering", &json!({ "reach": web(&scene.other, PAGE) }))
        .await;

    let cut = stream.falls_silent(began, SILENCE, wait::SOON).await.unwrap();
    eprintln!("measured: a rule held {} ms after its PATCH began", cut.as_millis());
    assert!(cut < AT_ONCE, "pings went on for {cut:?}");
    scene
        .reaches_only(&alice, &pages(&scene.other, PAGE), &pages(&scene.other, ALSO))
        .await;

    scene.change("engineering", &json!({ "reach": null })).await;
    let back = stream.flows(1, wait::SOON).await.unwrap();
    eprintln!("measured: pings came back {} ms after the PATCH", back.as_millis());
    assert!(back < AT_ONCE, "pings came back after {back:?}");
    scene.is_held_to_nothing(&alice).await;
    assert_eq!(alice.client.connections(), 1, "a rule ended the session");
    scene.is_applied().await;
    alice.close().await;
}

#[tokio::test]
async fn who_is_moved_to_another_group_comes_back_with_its_rights() {
    let Some(scene) = Scene::set("moved to another group", 2).await else {
        return;
    };
    let api = scene.site.stack.api();
    let alice = scene
        .site
        .connect(&scene.site.create_in("alice", "engineering").await)
        .await;
    scene.is_engineer(&alice).await;
    let first = inner_address(&alice).await;

    let moved = api
        .put_into_group("alice", "sales", Some(wait::SOON))
        .await
        .unwrap()
        .expect(200)
        .unwrap();

    assert_synced(&moved);
    assert_eq!(moved.body["group"], "sales", "{}", moved.text);
    alice.client.connected_times(2, wait::SOON).await.unwrap();
    scene.is_seller(&alice).await;
    assert_ne!(inner_address(&alice).await, first);
    assert!(has_fixed_address(&alice).await);

    let moved = api.put_into_group("alice", "default", Some(wait::SOON)).await.unwrap();

    assert_synced(&moved.expect(200).unwrap());
    alice.client.connected_times(3, wait::SOON).await.unwrap();
    scene.is_held_to_nothing(&alice).await;
    assert!(!has_fixed_address(&alice).await);
    let audited = api.audit("?action=user_changed&username=alice").await.unwrap();
    assert_eq!(audited.items().len(), 2, "{}", audited.text);
    alice.close().await;
}

#[tokio::test]
async fn the_next_node_holds_to_the_same_rules() {
    let Some(mut scene) = Scene::set("failover of a group", 2).await else {
        return;
    };
    let profile = scene.site.create_in("alice", "engineering").await;
    let alice = scene.site.connect(&profile).await;
    scene.is_engineer(&alice).await;

    let home = scene.site.first_node(&profile);
    scene.site.kill_node(home).await;

    alice.client.connected_times(2, wait::SOON).await.unwrap();
    scene.is_engineer(&alice).await;
    alice.close().await;
}

#[tokio::test]
async fn who_may_reach_nothing_reaches_nothing_and_not_the_node_itself() {
    let Some(scene) = Scene::without_groups("a group that reaches nothing", 1).await else {
        return;
    };
    let mut network = whole(&scene.service);
    network["client_to_client"] = json!(true);
    set_network(&scene.site, &network).await;
    scene.create("nothing", &json!([])).await;
    let alice = scene
        .site
        .connect(&scene.site.create_in("alice", "nothing").await)
        .await;
    let bob = scene.site.connect(&scene.site.create("bob").await).await;
    reaches_all(&scene.service, &bob).await;
    // The node itself, by its address in the tunnel and by the one behind it.
    let IpAddr::V4(service) = scene.service.resolver() else {
        panic!("the resolver has an address of IPv4");
    };
    let [a, b, c, _] = service.octets();
    let of_node = [
        "http://10.8.0.1:8081/health".to_owned(),
        format!("http://{a}.{b}.{c}.11:8081/health"),
    ];
    for url in &of_node {
        bob.namespace.fetch(url).await.unwrap();
    }

    let routed = async || {
        let routes = alice.namespace.run("ip route").await.unwrap();
        routes.contains(&scene.service.networks[0])
    };
    wait::until(wait::SOON, "the route of alice", routed).await.unwrap();
    let all = [scene.service.addresses.as_slice(), scene.other.as_slice()].concat();
    let those = [pages(&all, PAGE), pages(&all, ALSO)].concat();
    scene.reaches_only(&alice, &[], &those).await;
    for url in &of_node {
        assert!(alice.namespace.fetch(url).await.is_err(), "alice reaches {url}");
    }
    assert!(!pings(&alice, &inner_address(&bob).await).await, "alice reaches bob");
    // What is there for everybody: the node's ping, and the names.
    assert!(alice.answers().await, "the node does not answer her");
    alice.namespace.set_resolver(service.into()).await.unwrap();
    let asked = alice.namespace.run(&format!("getent ahosts {SERVICE_NAME}")).await;
    assert!(asked.unwrap().contains(&service.to_string()));
    for connection in [alice, bob] {
        connection.close().await;
    }
}

#[tokio::test]
async fn a_group_has_routes_of_its_own() {
    let Some(scene) = Scene::without_groups("routes of a group", 1).await else {
        return;
    };
    set_network(&scene.site, &json!({ "routes": prefixes(&scene.service.addresses) })).await;
    let group = json!({ "name": "operations", "routes": prefixes(&scene.other) });
    scene.site.create_group(&group).await;
    let alice = scene
        .site
        .connect(&scene.site.create_in("alice", "operations").await)
        .await;
    let bob = scene.site.connect(&scene.site.create("bob").await).await;

    scene.is_held_to_nothing(&alice).await;

    // Whatever routes others add by hand.
    let IpAddr::V4(other) = scene.other[0] else {
        panic!("the first address is one of IPv4");
    };
    bob.namespace
        .run(&format!("ip route add {other}/32 via 10.8.0.1"))
        .await
        .unwrap();
    scene
        .reaches_only(
            &bob,
            &pages(&scene.service.addresses, PAGE),
            &pages(&[other.into()], PAGE),
        )
        .await;
    for connection in [alice, bob] {
        connection.close().await;
    }
}

#[tokio::test]
async fn where_the_agent_runs_no_openvpn_a_group_with_rules_is_let_in_only_once_it_has_none() {
    let site = Site::without_tunnels(1).await;
    let api = site.stack.api();
    let group = json!({ "name": "visitors", "reach": [] });
    site.create_group(&group).await;
    let user = json!({ "username": "alice", "group": "visitors" });
    api.create_user_as(&user, None).await.unwrap().expect(201).unwrap();

    let told = async || {
        let shown = api.user("alice").await.map_err(|error| error.to_string())?;
        let error = shown.body["nodes"][0]["error"].as_str().unwrap_or_default().to_owned();
        match error.contains("visitors") {
            true => Ok(()),
            false => Err(shown.text),
        }
    };
    wait::until_ok(wait::SOON, "the node to tell why it lets her not in", told)
        .await
        .unwrap();
    let node = site.stack.node(1).unwrap();
    assert!(node.allow_list().unwrap().is_empty(), "she is let in");

    let changed = api.change_group("visitors", &json!({ "reach": null })).await.unwrap();
    changed.expect(200).unwrap();

    site.all_synced(wait::SOON).await;
    assert_eq!(node.allow_list().unwrap().len(), 1);
}
