//! OpenVPN outlives its agent, and the agent brings a dead OpenVPN back.

use vpnmanager_endnode::backend::{BackendState, Serving, VpnBackend};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{ping::PingStream, wait};

use crate::fleet::{Connected, Fleet, INSIDE, TOLD_TO_STOP};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_disturbs_nobody_and_the_next_one_finds_the_server() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid;
    let Connected { machine, client, .. } = fleet.connect(&agent, "alice").await;
    let stream = PingStream::start(&machine, INSIDE, (fleet.dir(), "ping")).expect("ping");
    stream.flows(10, wait::SOON).await.expect("traffic");

    agent.dies().await;
    stream.flows(20, wait::SOON).await.expect("traffic without an agent");
    let agent = fleet.agent();
    let health = agent.is(BackendState::Up).await;
    stream.flows(20, wait::SOON).await.expect("traffic with the next agent");

    assert_eq!(health.pid, pid);
    assert_eq!((health.sessions, health.restarts), (1, 0));
    assert_eq!(stream.stop().await.lost, Vec::<u64>::new());
    assert_eq!(client.connections(), 1);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_agent_finds_the_server_without_its_pid_file_too() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid;
    agent.dies().await;
    std::fs::remove_file(fleet.managed.dir.join("openvpn.pid")).expect("remove");

    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;

    assert_eq!(agent.is(BackendState::Up).await.pid, pid);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_denied_while_no_agent_lived_is_cut_by_the_next_one() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected {
        name: alice, client, ..
    } = fleet.connect(&agent, "alice").await;

    agent.dies().await;
    fleet.allow_list.deny(&alice).expect("deny");
    let agent = fleet.agent();

    client.log().wait_for(TOLD_TO_STOP, 1, wait::SOON).await.expect("cut");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_started_again_and_its_clients_return() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");
    let Connected { client, .. } = fleet.connect(&agent, "alice").await;

    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");

    let health = agent.is(BackendState::Down).await;
    assert!(health.detail.contains("died"), "{}", health.detail);
    let health = agent.is(BackendState::Up).await;
    assert_ne!(health.pid, Some(pid));
    assert_eq!(health.restarts, 1);
    client
        .connected_times(2, 2 * wait::SOON)
        .await
        .expect("connected again");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_reported_and_waits_for_the_next_start() {
    let Some((mut fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid;
    agent.dies().await;
    fleet.managed.conf.max_clients = std::num::NonZeroU32::new(7).expect("not zero");

    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;
    let health = agent.is(BackendState::Up).await;
    assert_eq!(health.pid, pid);
    assert!(health.detail.contains("older server.conf"), "{}", health.detail);
    assert_eq!(health.capacity, 100, "what runs, not what is wanted");

    agent.backend.set_serving(Serving::No).await;
    agent.is(BackendState::Stopped).await;
    agent.backend.set_serving(Serving::Yes).await;
    let health = agent.is(BackendState::Up).await;
    assert_eq!((health.detail.as_str(), health.capacity), ("", 7));
    let conf = std::fs::read_to_string(fleet.managed.dir.join("server.conf")).expect("read");
    assert!(conf.contains("\nmax-clients 7\n"));
    fleet.end(agent).await;
}
