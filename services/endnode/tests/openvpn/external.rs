//! An OpenVPN that the operator runs himself.

use std::process::Command;

use vpnmanager_endnode::{
    backend::{BackendState, VpnBackend},
    openvpn::{ExternalOpenVpn, OpenVpnBackend},
};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::wait;

use crate::{
    agent::{Agent, SOON},
    fleet::{Fleet, TOLD_TO_STOP},
};

#[tokio::test(flavor = "multi_thread")]
async fn is_attached_to_and_checked_and_its_users_are_cut() {
    let Some(fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    let conf_file = fleet.managed.dir.join("operators.conf");
    let conf = fleet.managed.conf.render().replace("explicit-exit-notify 2\n", "");
    std::fs::write(&conf_file, conf).expect("write");
    let external = ExternalOpenVpn {
        expected: fleet.expected(),
        conf_file: Some(conf_file.clone()),
    };
    // It makes the folder of the socket.
    let agent = Agent::start(OpenVpnBackend::external(fleet.allow_list.clone(), external));
    assert_eq!(agent.backend.health().await.state, BackendState::Down);

    let log = fleet.dir().join("operators.log");
    let mut operator = Command::new(&fleet.managed.binary);
    operator
        .arg("--config")
        .arg(&conf_file)
        .arg("--daemon")
        .arg("--log")
        .arg(&log);
    assert!(operator.status().expect("openvpn").success());
    let up = async || agent.backend.health().await.state == BackendState::Up;
    wait::until(SOON, "the operator's OpenVPN to be seen", up)
        .await
        .expect("up");

    let health = agent.backend.health().await;
    assert!(health.detail.contains("explicit-exit-notify 2"), "{}", health.detail);
    assert_eq!(agent.backend.findings().len(), 1);
    assert_eq!(health.fault, None, "a warning degrades nothing");
    let alice = fleet.connect(&agent, "alice").await;
    assert_eq!(agent.deny(&alice.name).await.count, 1);
    alice.client.log().wait_for(TOLD_TO_STOP, 1, SOON).await.expect("cut");
    // As the file changes, so does the verdict.
    let conf = std::fs::read_to_string(&conf_file).expect("read");
    let faulty = async |fault: Option<&str>| {
        let look = async || {
            let found = agent.backend.health().await.fault;
            found.is_some() == fault.is_some() && found.unwrap_or_default().contains(fault.unwrap_or_default())
        };
        wait::until(SOON, format_args!("the fault {fault:?}"), look)
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
