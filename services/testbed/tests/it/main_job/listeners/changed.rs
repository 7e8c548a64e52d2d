//! A node whose listeners change: it enrols no second time, and profiles name what there is.

use serde_json::{Value, json};
use vpnmanager_testbed::{
    net::require_tunnels,
    stack::{Listener, Part, StackOptions},
    wait,
};

use super::{connect_at, places};
use crate::main_job::site::Site;

/// Starts the agent anew with these listeners, and waits until management knows them.
async fn listens_at(site: &mut Site, listeners: &[Listener], told: &Value) {
    let agent = Part::Node(1);
    site.stack.stop_part(agent).await.unwrap();
    site.stack.set_listeners(1, listeners).unwrap();
    site.stack.start_part(agent).await.unwrap();
    let is_there = |node: &Value| node["listeners"] == *told && node["state"] == "healthy";
    site.endnode_when("node-1", &format!("to listen at {told}"), is_there)
        .await;
}

fn certificate(site: &Site) -> Value {
    site.identity(1)["certificate"].clone()
}

#[tokio::test]
async fn a_listener_comes_and_goes_without_another_enrolment_and_profiles_name_what_there_is() {
    if require_tunnels("listeners changed").is_none() {
        return;
    }
    let mut site = Site::start(StackOptions {
        nodes: 1,
        ..StackOptions::default()
    })
    .await;
    let api = site.stack.api();
    let old = site.create("alice").await;
    assert_eq!(places(&old), ["1194"]);
    let enrolled = certificate(&site);

    // UDP comes first in profiles, in whatever order they are given.
    let given = [Listener::TCP, Listener::UDP];
    listens_at(&mut site, &given, &json!(["udp:1194", "tcp:443"])).await;

    assert_eq!(certificate(&site), enrolled, "it enrolled again");
    let new = api.profile("alice").await.unwrap();
    assert_eq!(places(&new), ["1194 udp", "443 tcp-client"], "{new}");
    for listener in Listener::BOTH {
        let alice = connect_at(&site, listener, &new).await;
        assert!(alice.answers().await, "{listener} does not answer");
        alice.close().await;
    }
    site.lets_in(&old).await;
    // As many clients as one OpenVPN takes, on each.
    assert_eq!(api.endnode("node-1").await.unwrap().body["capacity"], 2000);
    let alice = api.user("alice").await.unwrap().body;
    assert_eq!((&alice["port"], &alice["protocol"]), (&json!(1194), &json!("udp")));
    let audited = api.audit("?action=node_endpoint_changed").await.unwrap();
    let entry = &audited.items()[0];
    assert!(entry["after"]["listeners"].to_string().contains("tcp:443"), "{entry}");
    let folders =
        ["openvpn/server.tcp443.conf", "allow.tcp443"].map(|name| site.stack.node(1).unwrap().dir().join(name));
    assert!(folders.iter().all(|path| path.exists()), "{folders:?}");

    listens_at(&mut site, &[Listener::UDP], &json!(["udp:1194"])).await;

    wait::until(wait::SOON, "the OpenVPN of TCP to be gone", async || {
        site.stack.processes(Part::Openvpn(1)).len() == 1 && !folders.iter().any(|path| path.exists())
    })
    .await
    .unwrap();
    let namespace = site.stack.node(1).unwrap().namespace().unwrap();
    let listening = namespace.run("ss -Hltn sport = :443").await.unwrap();
    assert_eq!(listening.trim(), "", "something listens at TCP 443");
    let last = api.profile("alice").await.unwrap();
    assert_eq!(places(&last), ["1194"], "{last}");
    site.lets_in(&last).await;
    assert_eq!(certificate(&site), enrolled, "it enrolled again");
}
