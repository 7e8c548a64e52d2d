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
    std::fs::create_dir(fleet.dir().join("run")).expect("mkdir");
    let external = ExternalOpenVpn {
        control_socket: fleet.managed.conf.control_socket.as_path().to_owned(),
        conf_file: Some(conf_file.clone()),
    };
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
    let alice = fleet.connect(&agent, "alice").await;
    assert_eq!(agent.deny(&alice.name).await.count, 1);
    alice.client.log().wait_for(TOLD_TO_STOP, 1, SOON).await.expect("cut");
    fleet.end(agent).await;
}
