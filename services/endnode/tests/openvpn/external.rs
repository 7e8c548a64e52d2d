//! An OpenVPN that the operator runs himself.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use tokio::sync::watch;
use vpnmanager_endnode::{
    backend::{BackendState, Session, VpnBackend},
    openvpn::{ExternalOpenVpn, OpenVpnBackend},
};
use vpnmanager_nats::{
    commands::Protocol,
    ids::Revision,
    network::{Network, PoolNetwork},
};
use vpnmanager_testbed::{client::Hostile, net::Namespace, ping::PingStream, wait};

use crate::{
    agent::Agent,
    fleet::{Fleet, INSIDE, PORT, TOLD_TO_STOP},
    network::{network, reaches},
};

/// Starts an agent, and then an OpenVPN with this configuration as an operator does. Gives the file of the configuration too.
pub(crate) async fn beside_an_operators(fleet: &Fleet, conf: &str) -> (Agent, PathBuf) {
    beside_one_started_with(fleet, conf, &[]).await
}

/// The same with more on OpenVPN's command line.
async fn beside_one_started_with(fleet: &Fleet, conf: &str, more: &[&str]) -> (Agent, PathBuf) {
    let told = watch::Sender::new(None);
    beside_one_of_a_pool(fleet, (conf, more), told.subscribe()).await
}

/// The same where management tells this of the network of the pool.
async fn beside_one_of_a_pool(
    fleet: &Fleet,
    (conf, more): (&str, &[&str]),
    told: watch::Receiver<Option<PoolNetwork>>,
) -> (Agent, PathBuf) {
    let conf_file = fleet.managed.dir.join("operators.conf");
    std::fs::write(&conf_file, conf).expect("write");
    let external = ExternalOpenVpn {
        listener: fleet.listener(),
        expected: fleet.expected(),
        conf_file: Some(conf_file.clone()),
        told,
    };
    // It makes the folder of the socket.
    let agent = Agent::start(OpenVpnBackend::external(fleet.allow_list.clone(), external));
    assert_eq!(agent.backend.health().await.state, BackendState::Down);

    start_operators(fleet, &conf_file, more);
    agent.is(BackendState::Up).await;
    (agent, conf_file)
}

fn start_operators(fleet: &Fleet, conf_file: &Path, more: &[&str]) {
    let log = fleet.dir().join("operators.log");
    let mut operator = Command::new(&fleet.managed.binary);
    operator
        .arg("--config")
        .arg(conf_file)
        .arg("--daemon")
        .arg("--log")
        .arg(&log)
        .args(more);
    assert!(operator.status().expect("openvpn").success());
}

async fn restart_operators(fleet: &Fleet, agent: &Agent, conf_file: &Path) {
    let pid = agent.is(BackendState::Up).await.pid.expect("a process");
    let ended = Command::new("kill").arg(pid.to_string()).status();
    assert!(ended.expect("kill").success());
    agent.is(BackendState::Down).await;
    start_operators(fleet, conf_file, &[]);
    agent.is(BackendState::Up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_attached_to_and_checked_and_its_users_are_cut() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let conf = fleet.conf().render().replace("explicit-exit-notify 2\n", "");
    let (agent, conf_file) = beside_an_operators(&fleet, &conf).await;

    let health = agent.backend.health().await;
    assert!(health.detail.contains("explicit-exit-notify 2"), "{}", health.detail);
    assert_eq!(agent.backend.findings().len(), 1);
    assert_eq!(health.fault, None, "a warning degrades nothing");
    let (asked, told) = (agent.backend.would_restart(), agent.backend.restart().await);
    for answer in [asked, told] {
        let refused = answer.expect_err("it is not the agent's");
        assert_eq!(
            refused.to_string(),
            "OpenVPN of this node is not the agent's (OPENVPN_MODE=external): restart it there"
        );
    }
    let alice = fleet.connect(&agent, "alice").await;
    assert_eq!(agent.deny(&alice.name).await.count, 1);
    alice
        .client
        .log()
        .wait_for(TOLD_TO_STOP, 1, wait::SOON)
        .await
        .expect("cut");
    // As the file changes, so does the verdict.
    let conf = std::fs::read_to_string(&conf_file).expect("read");
    let faulty = async |fault: Option<&str>| {
        let look = async || {
            let found = agent.backend.health().await.fault;
            found.is_some() == fault.is_some() && found.unwrap_or_default().contains(fault.unwrap_or_default())
        };
        wait::until(wait::SOON, format_args!("the fault {fault:?}"), look)
            .await
            .expect("found");
    };
    std::fs::write(&conf_file, format!("{conf}\nduplicate-cn\n")).expect("write");
    faulty(Some("remove `duplicate-cn`")).await;
    std::fs::write(&conf_file, conf).expect("write");
    faulty(None).await;
    let detail = agent.backend.health().await.detail;
    assert!(detail.contains("runs with an older server.conf"), "{detail}");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_of_openvpn_overrides_is_found() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let ccd = fleet.dir().join("ccd");
    std::fs::create_dir(&ccd).expect("made");
    let folder = ccd.display().to_string();
    let more = ["--client-config-dir", folder.as_str()];
    let conf = fleet.conf().render();

    let (agent, _) = beside_one_started_with(&fleet, &conf, &more).await;

    let fault = agent.backend.health().await.fault.expect("a fault");
    assert!(fault.contains("set `client-config-dir "), "{fault}");
    assert!(fault.contains(&more.join(" ")), "{fault}");
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_the_pools_network_lacks_are_named_and_are_what_clients_take() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let told = watch::Sender::new(None);
    let conf = fleet.conf().render();
    let (agent, conf_file) = beside_one_of_a_pool(&fleet, (&conf, &[]), told.subscribe()).await;
    assert_eq!(agent.backend.findings(), []);

    told.send_replace(Some(PoolNetwork {
        pool: "default".parse().expect("a pool"),
        revision: Revision(1),
        network: Some(Network {
            dns_servers: vec!["10.20.0.53".parse().expect("a server")],
            client_to_client: true,
            ..network(&["10.20.0.0/16"])
        }),
    }));

    let findings = agent.backend.findings();
    let lines: Vec<&str> = findings
        .iter()
        .filter_map(|finding| finding.message.split('`').nth(1))
        .collect();
    assert_eq!(
        lines,
        [
            "push \"route 10.20.0.0 255.255.0.0\"",
            "push \"dhcp-option DNS 10.20.0.53\"",
            "client-to-client"
        ]
    );
    let health = agent.backend.health().await;
    assert_eq!((health.state, health.fault), (BackendState::Up, None));
    for line in &lines {
        assert!(health.detail.contains(line), "{}", health.detail);
    }
    std::fs::write(&conf_file, format!("{conf}\n{}\n", lines.join("\n"))).expect("write");
    let mended = async || agent.backend.findings().is_empty();
    wait::until(wait::SOON, "nothing to be missing", mended)
        .await
        .expect("mended");

    restart_operators(&fleet, &agent, &conf_file).await;

    let (alice, bob) = (fleet.connect(&agent, "alice").await, fleet.connect(&agent, "bob").await);
    let routes = alice.machine.run("ip route").await.expect("ip");
    assert!(routes.contains("10.20.0.0/16"), "{routes}");
    let log = alice.client.log().text();
    assert!(log.contains("dhcp-option DNS 10.20.0.53"), "{log}");
    let sessions = agent.backend.sessions().await.expect("sessions");
    let of_bob = sessions.iter().find(|session| session.common_name == bob.name.as_str());
    reaches(&alice.machine, &of_bob.expect("bob's session").virtual_address).await;
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sessions_with_one_credential_only_the_named_one_ends() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let conf = format!("{}\nduplicate-cn\n", fleet.conf().render());
    let (agent, _) = beside_an_operators(&fleet, &conf).await;
    let (name, profile) = fleet.credential("alice");
    agent.allow(&name).await;
    let mut clients = Vec::new();
    for device in ["phone", "tablet", "laptop"] {
        let machine = fleet.machine().await;
        let client = fleet.client(&machine, &profile, device);
        client.connected(wait::SOON).await.expect("connected");
        clients.push((machine, client));
    }
    agent.has_sessions(&[&name, &name, &name]).await;
    let [(phone, on_phone), (tablet, on_tablet), (laptop, on_laptop)] = clients.as_slice() else {
        panic!("three clients");
    };
    let pings = PingStream::start(laptop, INSIDE, (fleet.dir(), "laptop-ping")).expect("ping");
    pings.flows(10, wait::SOON).await.expect("traffic");
    let end = async |device: &Namespace| {
        let sessions = agent.backend.sessions().await.expect("sessions");
        let from = |session: &&Session| session.real_address.starts_with(&format!("{}:", device.address));
        let session = sessions.iter().find(from).expect("its session").key();
        agent.backend.end(session).await.expect("asked")
    };

    assert_eq!(end(phone).await.as_deref(), Some(name.as_str()));

    on_phone.exited(wait::SOON).await.expect("the client ends");
    agent.has_sessions(&[&name, &name]).await;
    let deaf = Hostile::make(tablet, PORT).await.expect("nft");
    let began = Instant::now();

    assert_eq!(end(tablet).await.as_deref(), Some(name.as_str()));

    agent.has_sessions(&[&name]).await;
    eprintln!("measured: who does not listen was dropped after {:?}", began.elapsed());
    assert!(deaf.ignored().await.expect("counted") > 0 && on_tablet.alive());
    pings.flows(20, wait::SOON).await.expect("traffic");
    let stats = pings.stop().await;
    assert_eq!(stats.lost, Vec::<u64>::new(), "the other session's pings");
    assert_eq!(on_laptop.connections(), 1);
    fleet.end(agent).await;
}
