//! Starting, connecting, refusing, stopping.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use vpnmanager_endnode::{
    backend::{BackendState, Serving, VpnBackend},
    openvpn::server_conf::ConfPath,
};
use vpnmanager_nats::{
    commands::Protocol,
    groups::{Group, GroupRules, Groups},
    ids::Revision,
};
use vpnmanager_testbed::{ping, wait};

use crate::fleet::{Connected, Fleet, INSIDE, TOLD_TO_STOP};

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
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_started_before_the_firewall_holds_the_rules_of_everybody() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let nothing = GroupRules {
        reach: Some(Vec::new()),
        ..GroupRules::default()
    };
    fleet.definitions.learn(Groups {
        revision: Revision(1),
        groups: vec![Group {
            name: "default".parse().expect("a name"),
            rules: nothing,
            metered: false,
        }],
    });
    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;
    let health = agent.is(BackendState::Down).await;
    assert_eq!((health.pid, health.restarts), (None, 0));
    assert_eq!(
        health.detail,
        "it is not started before the rules of the group default are loaded"
    );
    assert!(!fleet.managed.dir.join("server.conf").exists());
    fleet.definitions.note_default(&[true]);
    let pid = agent.is(BackendState::Up).await.pid.expect("a pid");

    // One that dies later waits for them too.
    fleet.definitions.note_default(&[false]);
    assert_eq!(agent.is(BackendState::Up).await.pid, Some(pid), "one that runs goes on");
    fleet.node().run(&format!("kill -9 {pid}")).await.expect("kill");
    let waits = async || agent.backend.health().await.detail.contains("is not started before");
    wait::until(wait::SOON, "OpenVPN to wait for the rules", waits)
        .await
        .expect("it waits");
    fleet.definitions.note_default(&[true]);
    agent.is(BackendState::Up).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_allowed_get_in() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let alice = fleet.connect(&agent, "alice").await;
    let (_, strangers) = fleet.credential("stranger");
    let stranger = fleet.client(&fleet.machine().await, &strangers, "stranger");
    stranger.refused(wait::SOON).await.expect("refused");

    assert!(ping::once(&alice.machine, INSIDE).await, "traffic flows");
    agent.has_sessions(&[&alice.name]).await;
    let sessions = agent.backend.sessions().await.expect("sessions");
    assert!(
        sessions[0].real_address.starts_with(&alice.machine.address.to_string()),
        "{sessions:?}"
    );
    assert!(sessions[0].virtual_address.starts_with("10.8."), "{sessions:?}");
    assert!(sessions[0].bytes_in > 0 && sessions[0].bytes_out > 0, "{sessions:?}");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_addresses_are_nearly_used_up_says_so() {
    let Some(mut fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    fleet.conf_mut().network = "10.8.0.0/29".parse().expect("a network");
    let agent = fleet.start().await;
    let _alice = fleet.connect(&agent, "alice").await;
    assert_eq!(agent.backend.health().await.detail, "");
    let _bob = fleet.connect(&agent, "bob").await;

    let said = async || {
        agent
            .backend
            .health()
            .await
            .detail
            .starts_with("2 of the 2 addresses that")
    };
    wait::until(wait::SOON, "the node to say it", said).await.expect("said");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_closed_while_it_serves_is_a_fault_with_the_command_that_opens_it() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let mode = |bits| fs::set_permissions(fleet.dir(), fs::Permissions::from_mode(bits)).expect("chmod");
    let (name, profile) = fleet.credential("alice");
    agent.allow(&name).await;
    assert_eq!(agent.backend.health().await.fault, None);

    mode(0o700);

    let client = fleet.client(&fleet.machine().await, &profile, "closed");
    client.refused(wait::SOON).await.expect("everybody is refused");
    let fault = agent.backend.health().await.fault.expect("a fault");
    let mends = format!("`chmod o+x {}`", fleet.dir().display());
    assert!(
        fault.contains("the account nobody") && fault.contains(&mends),
        "{fault}"
    );

    mode(0o711);
    assert_eq!(agent.backend.health().await.fault, None);
    let client = fleet.client(&fleet.machine().await, &profile, "open");
    client.connected(wait::SOON).await.expect("connected");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_too_a_credential_gets_in_and_is_cut() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Tcp).await else {
        return;
    };
    let Connected {
        name: alice,
        machine,
        client,
    } = fleet.connect(&agent, "alice").await;
    assert!(ping::once(&machine, INSIDE).await);

    assert_eq!(agent.deny(&alice).await.count, 1);

    client
        .log()
        .wait_for(TOLD_TO_STOP, 1, wait::SOON)
        .await
        .expect("the client is told to stop");
    agent.has_sessions(&[]).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_must_not_serve_stops_at_once_and_serves_again_when_told() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let first = agent.is(BackendState::Up).await.pid;

    agent.backend.set_serving(Serving::No).await;
    agent.is(BackendState::Stopped).await;
    let process = format!("/proc/{}", first.expect("a pid"));
    wait::until(wait::SOON, "OpenVPN to end", async || !Path::new(&process).exists())
        .await
        .expect("it ends");

    agent.backend.set_serving(Serving::Yes).await;
    assert_ne!(agent.is(BackendState::Up).await.pid, first);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_the_reason_that_is_told() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let mut conf = fleet.conf().clone();
    conf.control_socket = ConfPath::socket(&fleet.dir().join("other.sock")).expect("a path");
    let file = fleet.dir().join("other.conf");
    // Only its port is that of the agent's.
    let text = conf.render().replace(" 10.8.", " 10.9.");
    fs::write(&file, text.replace("dev vpn-udp1194", "dev tun")).expect("write");
    let mut other = Command::new(&fleet.managed.binary);
    other.arg("--config").arg(&file).arg("--daemon");
    assert!(other.status().expect("openvpn").success());
    wait::until(wait::SOON, "the other server", async || {
        conf.control_socket.as_path().exists()
    })
    .await
    .expect("up");
    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;

    let health = agent.is(BackendState::Down).await;

    assert!(health.detail.contains("Address already in use"), "{}", health.detail);
    assert!(!health.detail.contains(" | "), "only that line: {}", health.detail);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_openvpn_that_is_too_old_is_not_started_and_that_is_said() {
    let Some(mut fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let old = fleet.dir().join("old-openvpn");
    fs::write(
        &old,
        "#!/bin/sh\necho 'OpenVPN 2.4.12 x86_64-pc-linux-gnu [SSL (OpenSSL)]'\nexit 1\n",
    )
    .expect("write");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("chmod");
    fleet.managed.binary = old;
    let agent = fleet.agent();
    agent.backend.set_serving(Serving::Yes).await;

    let health = agent.is(BackendState::Down).await;

    assert!(
        health.detail.contains("OpenVPN 2.4 is too old: 2.5 or newer is needed"),
        "{}",
        health.detail
    );
    fleet.end(agent).await;
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
    fleet.end(agent).await;
}
