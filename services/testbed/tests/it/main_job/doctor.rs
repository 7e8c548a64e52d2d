//! `doctor` of a whole fleet: a real login at each node, and a ping through each tunnel.

use std::{fs, process::Output};

use serde_json::{Value, json};
use vpnmanager_testbed::ports;

use super::{network::set_network, site::Site};

/// What a doctor printed.
fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// The ids of the checks that ended so, and of what.
fn ended<'a>(report: &'a Value, outcome: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let checks = report["checks"].as_array().unwrap();
    let ended = checks.iter().filter(|check| check["outcome"] == outcome);
    ended
        .map(|check| (check["id"].as_str().unwrap(), check["of"].as_str()))
        .collect()
}

fn failed(report: &Value) -> Vec<&str> {
    ended(report, "failed").into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn a_fleet_that_is_well_is_told_to_be_so_at_management_and_without_tunnels_at_a_node() {
    let site = Site::without_tunnels(1).await;
    site.create("alice").await;
    let of_management = site.stack.examine_management().await.unwrap();
    let of_management = report(&of_management);
    assert_eq!(failed(&of_management), [""; 0], "{of_management:#}");
    let nodes = ended(&of_management, "ok");
    let nodes = nodes.into_iter().chain(ended(&of_management, "warning"));
    assert!(
        nodes.into_iter().any(|found| found == ("nodes", Some("node-1"))),
        "{of_management:#}"
    );

    let of_node = site.stack.examine_node(1, &[], &[]).await.unwrap();
    assert_eq!(of_node.status.code(), Some(0));
    let of_node = report(&of_node);
    let well = ended(&of_node, "ok");
    for id in ["management", "clock", "standing", "bus", "allow-list"] {
        assert!(well.contains(&(id, None)), "{id}: {of_node:#}");
    }
}

#[tokio::test]
async fn a_probe_logs_in_at_each_node_until_it_is_suspended() {
    let Some(site) = Site::with_tunnels("doctor").await else {
        return;
    };
    let text = site.create("probe").await;
    let file = site.stack.state().dir.join("probe.ovpn");
    fs::write(&file, &text).unwrap();
    let flags = ["--profile", file.to_str().unwrap()];

    let well = site.stack.examine_node(1, &[], &flags).await.unwrap();

    let well = report(&well);
    assert_eq!(failed(&well), [""; 0], "{well:#}");
    let fine = ended(&well, "ok");
    for id in ["login", "tunnel"] {
        assert_eq!(fine.iter().filter(|(found, _)| *found == id).count(), 2, "{well:#}");
    }
    for id in ["openvpn", "tunnel-device", "server-conf", "agent"] {
        assert!(fine.contains(&(id, None)), "{id}: {well:#}");
    }
    assert!(fine.iter().any(|(id, _)| *id == "ports"), "{well:#}");
    // Nothing of it stays.
    let namespaces = site
        .stack
        .node(1)
        .unwrap()
        .namespace()
        .unwrap()
        .run("ip link")
        .await
        .unwrap();
    assert!(!namespaces.contains("vpndoctor"), "{namespaces}");

    // One of the two is silent in its tunnel.
    let node = site.stack.node(1).unwrap();
    let machine = node.namespace().unwrap();
    machine.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=1").await.unwrap();
    let silent = report(&site.stack.examine_node(1, &[], &flags).await.unwrap());
    machine.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=0").await.unwrap();
    assert_eq!(failed(&silent), ["tunnel"], "{silent:#}");

    site.change("probe", &json!({ "active": false })).await;
    let refused = report(&site.stack.examine_node(1, &[], &flags).await.unwrap());
    assert_eq!(failed(&refused), ["login", "login"], "{refused:#}");
    let login = refused["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == "login");
    assert_eq!(login.unwrap()["found"], "the server refuses the credential");
}

#[tokio::test]
async fn a_server_that_lets_in_and_answers_nothing_through_the_tunnel_is_told() {
    let Some(site) = Site::with_tunnels("doctor of a tunnel").await else {
        return;
    };
    let text = site.create("probe").await;
    let file = site.stack.state().dir.join("probe.ovpn");
    fs::write(&file, &text).unwrap();
    let machine = site.stack.node(1).unwrap().namespace().unwrap();
    machine.run("sysctl -qw net.ipv4.icmp_echo_ignore_all=1").await.unwrap();
    let flags = ["--profile", file.to_str().unwrap()];
    let told = report(&site.stack.examine_node(1, &[], &flags).await.unwrap());
    assert_eq!(failed(&told), ["tunnel"], "{told:#}");
    let logins = ended(&told, "ok").into_iter().filter(|(id, _)| *id == "login");
    assert_eq!(logins.count(), 2, "{told:#}");
}

#[tokio::test]
async fn what_a_node_lacks_for_openvpn_is_told() {
    let Some(site) = Site::with_tunnels("doctor of OpenVPN").await else {
        return;
    };
    site.create("alice").await;
    let missing = [("OPENVPN_BINARY", "/nonexistent/openvpn")];
    let missing = report(&site.stack.examine_node(1, &missing, &[]).await.unwrap());
    assert_eq!(failed(&missing), ["openvpn"], "{missing:#}");

    // Nobody listens where the settings say, and the file is that of other settings.
    let port = ports::free().unwrap().to_string();
    let elsewhere = report(
        &site
            .stack
            .examine_node(1, &[("PUBLIC_PORT", &port)], &[])
            .await
            .unwrap(),
    );
    assert_eq!(failed(&elsewhere), ["ports"], "{elsewhere:#}");
    assert!(
        ended(&elsewhere, "warning").contains(&("server-conf", None)),
        "{elsewhere:#}"
    );
}

#[tokio::test]
async fn a_machine_that_does_not_forward_and_a_firewall_without_our_rules_are_told() {
    let Some(site) = Site::with_tunnels("doctor of the network").await else {
        return;
    };
    set_network(&site, &json!({ "routes": ["198.18.7.0/24"] })).await;
    let node = site.stack.node(1).unwrap();
    let machine = node.namespace().unwrap();
    let well = report(&site.stack.examine_node(1, &[], &[]).await.unwrap());
    let fine = ended(&well, "ok");
    for id in ["forwarding", "firewall"] {
        assert!(fine.contains(&(id, None)), "{id}: {well:#}");
    }

    // The agent mends both within seconds: it must not run meanwhile.
    let agent = node.agent().unwrap();
    machine.run(&format!("kill -STOP {}", agent.pid)).await.unwrap();
    machine.run("sysctl -qw net.ipv4.ip_forward=0").await.unwrap();
    machine.run("nft delete table inet vpnmanager").await.unwrap();
    let broken = report(&site.stack.examine_node(1, &[], &[]).await.unwrap());
    machine.run(&format!("kill -CONT {}", agent.pid)).await.unwrap();
    assert_eq!(failed(&broken), ["forwarding", "firewall", "agent"], "{broken:#}");
}
