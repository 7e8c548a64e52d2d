//! What members of groups reach through a real tunnel.

use vpnmanager_nats::groups::{Group, GroupRules, Reach};
use vpnmanager_testbed::{ping, wait};

use crate::{
    fleet::{Connected, INSIDE},
    inside::{connects, serve},
    network::{answers, network, reaches, with_a_service},
    upkeep::Upkeep,
};

/// A group whose members reach this: entries as on the wire.
fn group(name: &str, reach: &str) -> Group {
    Group {
        name: name.parse().expect("a name"),
        rules: GroupRules {
            reach: Some(serde_json::from_str::<Vec<Reach>>(reach).expect("entries")),
            ..GroupRules::default()
        },
        metered: false,
    }
}

/// Everybody who is in no other group reaches everything.
fn everybody() -> Group {
    Group {
        name: "default".parse().expect("a name"),
        rules: GroupRules::default(),
        metered: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_reach_different_hosts_and_ports_and_of_the_node_what_is_listed() {
    let Some((fleet, agent, service)) = with_a_service(Some("fd00:8::/64")).await else {
        return;
    };
    let _servers = [serve(&service, 80), serve(&service, 8080), serve(fleet.node(), 80)];
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16", "fd20::/16"]))).await;
    let mut eng = group(
        "eng",
        r#"[{"to": "10.20.0.5/32", "protocol": "tcp", "ports": ["80"]}, {"to": "fd20::5/128", "protocol": "icmp"},
            {"to": "10.30.0.0/16"}]"#,
    );
    eng.rules.routes = vec!["10.30.0.0/16".parse().expect("a prefix")];
    let sales = group(
        "sales",
        r#"[{"to": "10.20.0.5/32", "protocol": "tcp", "ports": ["8080"]}, {"to": "10.30.0.0/16"},
            {"to": "10.8.0.1/32", "protocol": "tcp", "ports": ["80"]}]"#,
    );
    upkeep.holds(1, &[everybody(), eng, sales]).await;

    let alice = fleet.connect_in(&agent, "alice", "eng").await;
    let bob = fleet.connect_in(&agent, "bob", "sales").await;
    let carol = fleet.connect(&agent, "carol").await;

    reaches(&carol.machine, "10.20.0.5").await;
    reaches(&alice.machine, "fd20::5").await;
    reaches(&alice.machine, "10.30.0.5").await;
    for (who, web, other) in [(&alice, true, false), (&bob, false, true), (&carol, true, true)] {
        assert_eq!(connects(&who.machine, "10.20.0.5:80"), web, "{}", who.name);
        assert_eq!(connects(&who.machine, "10.20.0.5:8080"), other, "{}", who.name);
        assert!(ping::once(&who.machine, INSIDE).await, "{}", who.name);
    }
    for place in ["10.20.0.5:80", "[fd20::5]:80", "10.8.0.1:80"] {
        assert_eq!(connects(&alice.machine, place), place == "10.20.0.5:80", "{place}");
    }
    assert!(!answers(&alice.machine, "10.20.0.5").await, "it is no web page");
    assert!(connects(&bob.machine, "10.8.0.1:80") && connects(&carol.machine, "10.8.0.1:80"));
    // What another group has of its own is no way for others, whatever they may reach.
    let line = "ip route add 10.30.0.0/16 dev tun0";
    for who in [&bob, &carol] {
        who.machine.run(line).await.expect("a route");
        assert!(!answers(&who.machine, "10.30.0.5").await, "{}", who.name);
    }
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_a_group_reaches_holds_at_once() {
    let Some((fleet, agent, service)) = with_a_service(None).await else {
        return;
    };
    let _servers = [serve(&service, 80), serve(&service, 8080)];
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;
    let to_port = |port: &str| {
        let reach = format!(r#"[{{"to": "10.20.0.5/32", "protocol": "tcp", "ports": ["{port}"]}}]"#);
        group("eng", &reach)
    };
    upkeep.holds(1, &[everybody(), to_port("80")]).await;
    let alice = fleet.connect_in(&agent, "alice", "eng").await;
    assert!(connects(&alice.machine, "10.20.0.5:80"));

    upkeep.holds(2, &[everybody(), to_port("8080")]).await;

    assert!(!connects(&alice.machine, "10.20.0.5:80"));
    assert!(connects(&alice.machine, "10.20.0.5:8080"));
    assert_eq!(alice.client.connections(), 1);
    upkeep.ends();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_logs_in_while_the_agent_is_dead_is_held_to_the_rules() {
    let Some((fleet, agent, service)) = with_a_service(None).await else {
        return;
    };
    let _servers = [serve(&service, 80), serve(fleet.node(), 80)];
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16"]))).await;
    let eng = group("eng", r#"[{"to": "10.20.0.5/32", "protocol": "tcp"}]"#);
    upkeep.holds(1, &[everybody(), eng]).await;
    let Connected {
        machine, mut client, ..
    } = fleet.connect_in(&agent, "alice", "eng").await;

    upkeep.ends();
    agent.dies().await;
    client.restart().await.expect("restart");
    client.connected(wait::SOON).await.expect("connected");

    let web = async || connects(&machine, "10.20.0.5:80");
    wait::until(wait::SOON, "a connection", web)
        .await
        .expect("a connection");
    assert!(!answers(&machine, "10.20.0.5").await && !connects(&machine, "10.8.0.1:80"));
    let agent = fleet.agent();
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_that_the_node_does_not_know_reach_nothing() {
    let Some((fleet, agent, service)) = with_a_service(Some("fd00:8::/64")).await else {
        return;
    };
    let _servers = [serve(&service, 80), serve(fleet.node(), 80)];
    let upkeep = Upkeep::start(&fleet, &agent);
    upkeep.applies(1, Some(network(&["10.20.0.0/16", "fd20::/16"]))).await;
    upkeep.holds(1, &[everybody()]).await;

    let mallory = fleet.connect_in(&agent, "mallory", "gone").await;

    let routes = mallory.machine.run("ip route").await.expect("ip");
    assert!(!routes.contains("10.20.0.0/16"), "she is told of nothing: {routes}");
    for line in ["route add 10.20.0.0/16 dev tun0", "-6 route add fd20::/16 dev tun0"] {
        mallory.machine.run(&format!("ip {line}")).await.expect("a route");
    }
    assert!(!ping::once(&mallory.machine, INSIDE).await);
    for address in ["10.20.0.5", "fd20::5", "fd00:8::1"] {
        assert!(!answers(&mallory.machine, address).await, "{address}");
    }
    for place in ["10.20.0.5:80", "10.8.0.1:80", "[fd00:8::1]:80"] {
        assert!(!connects(&mallory.machine, place), "{place}");
    }

    // As soon as it is known, it reaches what it may.
    upkeep
        .holds(2, &[everybody(), group("gone", r#"[{"to": "10.20.0.5/32"}]"#)])
        .await;
    reaches(&mallory.machine, "10.20.0.5").await;
    upkeep.ends();
    fleet.end(agent).await;
}
