//! Listeners that are added and taken away, and slices that change: which OpenVPNs end, and when.

use std::{fs, path::Path};

use vpnmanager_endnode::{
    backend::BackendState,
    listening::ListenerNumber,
    openvpn::{ManagedOpenVpn, process::end_further},
    slices::first_slice,
};
use vpnmanager_testbed::wait;

use super::{TCP, UDP, all_serve, are_gone, build, pids, serving_both, session_of};
use crate::fleet::Fleet;

fn has_files_of_the_first_alone(fleet: &Fleet) {
    let entries = fs::read_dir(&fleet.managed.dir).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    assert!(!names.iter().any(|name| name.contains("tcp443")), "{names:?}");
    assert!(names.iter().any(|name| name == "server.conf"), "{names:?}");
}

/// What the agent does before it opens the allow-list.
async fn ends_former(fleet: &Fleet) {
    assert_eq!(fleet.managed.end_former().await.expect("read"), []);
}

/// The same with the first listener alone.
fn first_alone(both: &ManagedOpenVpn) -> ManagedOpenVpn {
    let mut first = both.clone();
    first.servers.truncate(1);
    first.servers[0].conf.listeners = "udp:1194".parse().expect("a listener");
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_added_to_a_node_and_taken_from_it() {
    let Some(mut fleet) = build().await else {
        return;
    };
    let both = fleet.managed.clone();
    fleet.managed = first_alone(&both);
    let agent = fleet.start().await;
    let alone = agent.is(BackendState::Up).await.pid.expect("a pid");
    agent.dies().await;

    fleet.managed = both.clone();
    ends_former(&fleet).await;
    are_gone(&[alone]).await;
    let agent = fleet.start().await;
    all_serve(&agent).await;
    let bob = fleet.connect_through(&agent, "bob", TCP).await;
    let alice = fleet.connect_through(&agent, "alice", UDP).await;
    agent.has_sessions(&[&alice.name, &bob.name]).await;
    let pids = pids(&fleet);
    // The same ones again.
    ends_former(&fleet).await;
    assert_eq!(alice.client.connections() + bob.client.connections(), 2);
    agent.dies().await;

    fleet.managed = first_alone(&both);
    ends_former(&fleet).await;
    are_gone(&pids).await;
    has_files_of_the_first_alone(&fleet);
    assert!(!both.servers[TCP].conf.control_socket.as_path().exists());
    let agent = fleet.start().await;
    alice
        .client
        .connected_times(2, 2 * wait::SOON)
        .await
        .expect("connected again");
    agent.has_sessions(&[&alice.name]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_ends_all_listeners_and_starts_them_anew_together() {
    let Some((mut fleet, agent)) = serving_both().await else {
        return;
    };
    let alice = fleet.connect_through(&agent, "alice", TCP).await;
    let before = pids(&fleet);
    agent.dies().await;
    let layout = first_slice("10.8.0.0/17".parse().expect("a network"), None, 2).expect("slices");
    for (number, server) in fleet.managed.servers.iter_mut().enumerate() {
        server.conf.network = layout.beside(ListenerNumber(number)).network();
    }

    ends_former(&fleet).await;

    are_gone(&before).await;
    let agent = fleet.start().await;
    all_serve(&agent).await;
    alice
        .client
        .connected_times(2, 2 * wait::SOON)
        .await
        .expect("connected again");
    let address = session_of(&agent, &alice.name).await.virtual_address;
    assert!(address.starts_with("10.8.64."), "{address}");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_to_run_no_openvpn_ends_those_behind_the_first_whose_folders_go() {
    let Some((fleet, agent)) = serving_both().await else {
        return;
    };
    let [first, further] = pids(&fleet);
    agent.dies().await;

    let may_run = end_further(&fleet.managed.dir, &fleet.managed.binary, None).await;

    assert_eq!(may_run.expect("read"), []);
    are_gone(&[further]).await;
    assert!(Path::new(&format!("/proc/{first}")).exists(), "its folder stays");
    has_files_of_the_first_alone(&fleet);
    let agent = fleet.agent();
    agent.is(BackendState::Up).await;
    fleet.end(agent).await;
}
