//! Starting, connecting, refusing, stopping.

use std::{fs, path::Path};

use vpnmanager_endnode::backend::{BackendState, Serving, VpnBackend};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{ping, wait};

use crate::fleet::{Fleet, INSIDE, SOON, TOLD_TO_STOP};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_before_the_snapshot_is_complete() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let agent = fleet.agent();
    assert_eq!(agent.is(BackendState::Stopped).await.pid, None);
    assert!(!fleet.managed.dir.join("server.conf").exists());
    agent.backend.set_serving(Serving::Yes).await;

    let health = agent.is(BackendState::Up).await;

    assert!(health.version.expect("a version").starts_with("2."));
    assert_eq!((health.capacity, health.sessions, health.restarts), (100, 0, 0));
    assert_eq!(health.detail, "");
    agent.stops().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_allowed_get_in() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let agent = fleet.serving_agent().await;
    let ((alice, alices), (_, strangers)) = (fleet.credential("alice"), fleet.credential("stranger"));
    agent.backend.allow(std::slice::from_ref(&alice)).await.expect("allow");
    let (home, elsewhere) = (fleet.machine().await, fleet.machine().await);

    let honest = fleet.client(&home, &alices, "alice");
    honest.connected(SOON).await.expect("connected");
    let stranger = fleet.client(&elsewhere, &strangers, "stranger");
    stranger.refused(SOON).await.expect("refused");

    assert!(ping::once(&home, INSIDE).await, "traffic flows");
    agent.has_sessions(&[&alice]).await;
    let sessions = agent.backend.sessions().await.expect("sessions");
    assert!(
        sessions[0].real_address.starts_with(&home.address.to_string()),
        "{sessions:?}"
    );
    assert!(sessions[0].virtual_address.starts_with("10.8."), "{sessions:?}");
    assert!(sessions[0].bytes_in > 0 && sessions[0].bytes_out > 0, "{sessions:?}");
    agent.stops().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_too_a_credential_gets_in_and_is_cut() {
    let Some(fleet) = Fleet::build(Protocol::Tcp).await else {
        return;
    };
    let agent = fleet.serving_agent().await;
    let (alice, profile) = fleet.credential("alice");
    agent.backend.allow(std::slice::from_ref(&alice)).await.expect("allow");
    let home = fleet.machine().await;
    let client = fleet.client(&home, &profile, "alice");
    client.connected(SOON).await.expect("connected");
    assert!(ping::once(&home, INSIDE).await);

    assert_eq!(
        agent
            .backend
            .deny(std::slice::from_ref(&alice))
            .await
            .expect("deny")
            .count,
        1
    );

    client
        .log()
        .wait_for(TOLD_TO_STOP, 1, SOON)
        .await
        .expect("the client is told to stop");
    agent.has_sessions(&[]).await;
    agent.stops().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_must_not_serve_stops_at_once_and_serves_again_when_told() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let agent = fleet.serving_agent().await;
    let first = agent.is(BackendState::Up).await.pid;

    agent.backend.set_serving(Serving::No).await;
    agent.is(BackendState::Stopped).await;
    let process = format!("/proc/{}", first.expect("a pid"));
    wait::until(SOON, "OpenVPN to end", async || !Path::new(&process).exists())
        .await
        .expect("it ends");

    agent.backend.set_serving(Serving::Yes).await;
    assert_ne!(agent.is(BackendState::Up).await.pid, first);
    agent.stops().await;
    fleet.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_will_not_start_says_why() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    fs::remove_file(fleet.managed.dir.join("node.key")).expect("remove");
    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;

    let health = agent.is(BackendState::Down).await;

    assert!(health.detail.contains("node.key"), "{}", health.detail);
    agent.stops().await;
    fleet.end().await;
}
