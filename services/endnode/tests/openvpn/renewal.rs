//! A renewed certificate of the server: a running OpenVPN goes on with the one that it has, and the next start takes the other one.

use std::fs;

use chrono::{TimeDelta, Utc};
use vpnmanager_endnode::{
    backend::{BackendState, VpnBackend},
    server_certificate::{Material, ReplacedCertificate, ServerCertificate, Validity},
};
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{ping::PingStream, wait};

use crate::fleet::{Connected, Fleet, INSIDE};

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_ends_no_session_and_is_taken_by_the_next_start() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let Connected { machine, client, .. } = fleet.connect(&agent, "alice").await;
    let stream = PingStream::start(&machine, INSIDE, (fleet.dir(), "ping")).expect("ping");
    stream.flows(10, wait::SOON).await.expect("traffic");
    let before = fs::read_to_string(fleet.conf().cert.as_path()).expect("read");

    // As if OpenVPN had started long ago.
    let soon = Utc::now() + TimeDelta::days(3);
    let replaced_at = |at| ReplacedCertificate {
        expires_at: soon,
        signed_by: None,
        at,
    };
    let material = |certificate, replaced| Material {
        certificate,
        authorities: "",
        replaced,
        replaced_authorities: None,
    };
    let held = ServerCertificate::new(material(&before, None));
    let renewed = fleet.renew("node-renewed.test-fleet");
    held.replace(material(
        &renewed,
        Some(replaced_at(Utc::now() + TimeDelta::minutes(1))),
    ));

    stream.flows(20, wait::SOON).await.expect("traffic after the renewal");
    let health = agent.is(BackendState::Up).await;
    assert_eq!(held.in_use_until(health.oldest_since), Some(soon));
    assert_eq!((health.restarts, client.connections()), (0, 1));
    assert_eq!(stream.stop().await.lost, Vec::<u64>::new());

    agent.backend.restart().await.expect("begun");
    client
        .log()
        .wait_for("CN=node-renewed.test-fleet", 1, 3 * wait::SOON)
        .await
        .expect("the new certificate");
    client
        .connected_times(2, 3 * wait::SOON)
        .await
        .expect("connected again");
    let later = ServerCertificate::new(material(
        &renewed,
        Some(replaced_at(Utc::now() - TimeDelta::minutes(1))),
    ));
    let health = agent.is(BackendState::Up).await;
    let end = Validity::of_pem(&renewed).map(|validity| validity.not_after);
    assert_eq!(later.in_use_until(health.oldest_since), end);
    fleet.end(agent).await;
}
