//! Nodes that run OpenVPN 2.5.

use std::{fs, path::Path, time::SystemTime};

use serde_json::json;
use vpnmanager_testbed::{
    stack::{Listener, Part},
    wait,
};

use super::{connect_old, required};
use crate::main_job::{
    failover::DEAD,
    listeners::{
        both, connect_at,
        mtu::{MTU, largest_is},
        visit_at,
    },
    network::{pushed_resolver, reaches, reaches_all, set_network, whole},
    profile,
    site::Site,
};

/// Two nodes whose agents run this program.
async fn nodes_with(program: &Path) -> Site {
    let mut options = both(2);
    let binary = program.display().to_string();
    options.node_env.push(("OPENVPN_BINARY".to_owned(), binary));
    let site = Site::start(options).await;
    for number in [1, 2] {
        let servers = site.stack.processes(Part::Openvpn(number));
        assert_eq!(servers.len(), 2, "one process for each listener");
        for server in servers {
            let runs = fs::read_link(format!("/proc/{}/exe", server.pid)).unwrap();
            assert!(runs.ends_with("openvpn2.5/usr/sbin/openvpn"), "{}", runs.display());
        }
    }
    site
}

#[tokio::test]
async fn clients_of_each_release_reach_all_through_a_node_that_runs_2_5() {
    let Some(program) = required("a node that runs OpenVPN 2.5") else {
        return;
    };
    let site = nodes_with(&program).await;
    let service = site.stack.service().unwrap();
    let mut network = whole(service);
    network["mtu"] = json!(MTU);
    set_network(&site, &network).await;
    let texts = [
        site.create_at("alice", "node-1").await,
        site.create_at("bob", "node-1").await,
    ];

    for listener in Listener::BOTH {
        let stock = connect_at(&site, listener, &texts[0]).await;
        let old = connect_old(&site, &program, listener, &texts[1]).await;
        for client in [stock, old] {
            reaches_all(service, &client).await;
            client.namespace.set_resolver(pushed_resolver(&client)).await.unwrap();
            reaches(service, &client, &service.url()).await;
            largest_is(&site, &client, MTU).await;
            client.close().await;
        }
    }
}

#[tokio::test]
async fn a_node_that_runs_2_5_cuts_who_is_suspended_and_its_clients_move_when_it_is_killed() {
    let Some(program) = required("cuts and failover of a node that runs OpenVPN 2.5") else {
        return;
    };
    let mut site = nodes_with(&program).await;
    let texts = [
        site.create_at("alice", "node-1").await,
        site.create_at("bob", "node-1").await,
    ];
    let [mut alices, mut bobs] = [Vec::new(), Vec::new()];
    for listener in Listener::BOTH {
        alices.push(visit_at(&site, listener, &texts[0]).await);
        bobs.push(visit_at(&site, listener, &texts[1]).await);
    }

    let began = SystemTime::now();
    site.change("bob", &json!({ "active": false })).await;

    for (mut bob, listener) in bobs.into_iter().zip(Listener::BOTH) {
        bob.is_cut(began, &format!("active=false at {listener} of a node that runs 2.5"))
            .await;
        bob.connection.client.exited(wait::SOON).await.unwrap();
        // 2.5 may say AUTH_FAILED, or the agent ends its session first: either way the client gives up without a tunnel.
        let client = &mut bob.connection.client;
        client.restart().await.unwrap();
        client.exited(wait::SOON).await.unwrap();
        assert_eq!(client.connections(), 0, "{}", client.log().text());
    }
    for alice in &alices {
        assert_eq!(alice.connection.client.connections(), 1, "she had to connect again");
    }

    site.kill_node(1).await;

    for (alice, listener) in alices.into_iter().zip(Listener::BOTH) {
        let gap = alice.moved_to(profile::hosts(&texts[0])[1], 1).await;
        eprintln!(
            "measured: the tunnel at {listener} was away for {} ms after kill -9 of a node that runs 2.5",
            gap.as_millis()
        );
        assert!(gap < DEAD, "{gap:?} at {listener}");
        alice.connection.close().await;
    }
}
