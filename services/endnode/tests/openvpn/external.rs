//! An OpenVPN that the operator runs himself.

use std::process::Command;

use tokio_util::sync::CancellationToken;
use vpnmanager_endnode::{
    backend::{BackendState, VpnBackend},
    openvpn::{ExternalOpenVpn, OpenVpnBackend},
};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::wait;

use crate::fleet::{Fleet, SOON, TOLD_TO_STOP};

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
    let (backend, task) = OpenVpnBackend::external(fleet.allow_list.clone(), external);
    let cancel = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(task.run(cancel.clone()));
    assert_eq!(backend.health().await.state, BackendState::Down);

    let log = fleet.dir().join("operators.log");
    let mut operator = Command::new(&fleet.managed.binary);
    operator
        .arg("--config")
        .arg(&conf_file)
        .arg("--daemon")
        .arg("--log")
        .arg(&log);
    assert!(operator.status().expect("openvpn").success());
    let up = async || backend.health().await.state == BackendState::Up;
    wait::until(SOON, "the operator's OpenVPN to be seen", up)
        .await
        .expect("up");

    let health = backend.health().await;
    assert!(health.detail.contains("explicit-exit-notify 2"), "{}", health.detail);
    assert_eq!(backend.findings().len(), 1);
    let (alice, profile) = fleet.credential("alice");
    backend.allow(std::slice::from_ref(&alice)).await.expect("allow");
    let client = fleet.client(&fleet.machine().await, &profile, "alice");
    client.connected(SOON).await.expect("connected");
    assert_eq!(backend.deny(std::slice::from_ref(&alice)).await.expect("deny").count, 1);
    client.log().wait_for(TOLD_TO_STOP, 1, SOON).await.expect("cut");
    cancel.cancel();
    fleet.end().await;
}
