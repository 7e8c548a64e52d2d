//! OpenVPN outlives its agent, and the agent brings a dead OpenVPN back.

use vpnmanager_endnode::backend::{BackendError, BackendState, Serving, VpnBackend};
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
async fn what_an_earlier_server_said_is_not_told_of_one_that_dies_later() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let log = fleet.managed.dir.join("openvpn.log");
    let earlier = "Cannot allocate TUN/TAP dev dynamically";
    std::fs::write(&log, format!("{earlier}\nExiting due to fatal error\n")).expect("written");
    let agent = fleet.start().await;
    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");

    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");

    let health = agent.is(BackendState::Down).await;
    assert!(health.detail.contains("died"), "{}", health.detail);
    assert!(!health.detail.contains(earlier), "{}", health.detail);
    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");

    // The next agent has not started this one.
    agent.dies().await;
    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;
    assert_eq!(agent.is(BackendState::Up).await.pid, Some(pid));
    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");
    let health = agent.is(BackendState::Down).await;
    assert!(!health.detail.contains(earlier), "{}", health.detail);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_reported_and_waits_for_the_next_start() {
    let Some((mut fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let pid = agent.is(BackendState::Up).await.pid;
    agent.dies().await;
    fleet.conf_mut().max_clients = std::num::NonZeroU32::new(7).expect("not zero");

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

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_asked_for_starts_another_openvpn_and_the_same_users_come_back() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let before = agent.is(BackendState::Up).await;
    let Connected { name, client, .. } = fleet.connect(&agent, "alice").await;
    agent.backend.would_restart().expect("it would");
    let asked = agent.backend.health().await;
    assert_eq!(
        (asked.state, asked.pid),
        (BackendState::Up, before.pid),
        "nothing is begun"
    );

    agent.backend.restart().await.expect("begun");

    let begun = agent.backend.health().await;
    assert_eq!(begun.state, BackendState::Starting, "until it has ended: {begun:?}");
    let after = agent.is(BackendState::Up).await;
    assert!(after.pid.is_some() && after.pid != before.pid, "{after:?}");
    assert_eq!(after.restarts, 0, "it did not die");
    client
        .connected_times(2, 2 * wait::SOON)
        .await
        .expect("connected again");
    assert!(fleet.allow_list.contains(&name).expect("a list"));
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_must_not_serve_is_not_restarted() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    agent.backend.set_serving(Serving::No).await;
    agent.is(BackendState::Stopped).await;
    for refused in [agent.backend.would_restart(), agent.backend.restart().await] {
        assert!(matches!(refused, Err(BackendError::NotServing)), "{refused:?}");
    }
    fleet.end(agent).await;
}
