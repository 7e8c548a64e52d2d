//! Handshakes that are begun and never finished.

use std::{num::NonZeroU32, time::Duration};

use vpnmanager_endnode::backend::VpnBackend;
use vpnmanager_nats::commands::Protocol;
use vpnmanager_testbed::{
    client::{Crowd, Hostile},
    ping, wait,
};

use crate::fleet::{Fleet, INSIDE, PORT};

/// Two for clients, and two that are spare.
const PLACES: u32 = 4;
const ATTACKERS: usize = 8;
/// OpenVPN forgets a handshake after 20 s. A client that found no place gives up after 10 s and dials again a second later. With OpenVPN's own
/// `hand-window` of 60 s it would take longer.
const BACK_WITHIN: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_nobody_finishes_are_told_of_and_keep_nobody_out_for_much_longer_than_they_go_on() {
    let Some(mut fleet) = Fleet::build(Protocol::Udp).await else {
        return;
    };
    fleet.conf_mut().max_clients = NonZeroU32::new(PLACES / 2).expect("not zero");
    fleet.conf_mut().spare_places = PLACES / 2;
    // Silence ends nothing before 120 s: a thief who says something now and then is ended by the window alone.
    fleet.conf_mut().keepalive = "10 60".parse().expect("a pair");
    let agent = fleet.start().await;
    // OpenVPN before 2.6.13 forgets its first client when all places are taken, which is why there are spare ones: this one.
    let first = fleet.connect(&agent, "first").await;
    let alice = fleet.connect(&agent, "alice").await;
    let thief = fleet.machine().await;
    // The clients of the thief have valid profiles, and do not hear what the server says of TLS.
    let _deaf = Hostile::make(&thief, PORT).await.expect("rules");
    let profiles: Vec<String> = (0..ATTACKERS)
        .map(|number| fleet.credential(&format!("mallory-{number}")).1.expose().to_owned())
        .collect();
    let attackers = Crowd::start(&thief, &profiles, fleet.dir()).expect("clients");

    // A fault once looks five seconds apart have found the same: before that it could be a rush.
    let fault = async || agent.backend.health().await.fault;
    let told = wait::until_some(wait::SOON, "the node to tell of it", fault).await;

    let told = told.expect("a fault");
    let expected = format!(
        "2 of the {PLACES} places for clients are taken by handshakes that nobody finishes, so that nobody else gets in. Most come from {} (",
        thief.address
    );
    assert!(told.starts_with(&expected), "{told}");
    assert!(ping::once(&alice.machine, INSIDE).await, "who is in stays in");

    for attacker in &attackers.clients {
        attacker.kill().await;
    }
    let (name, profile) = fleet.credential("bob");
    agent.allow(&name).await;
    let bob = fleet.client(&fleet.machine().await, &profile, "bob");
    bob.connected(BACK_WITHIN).await.expect("he gets in");
    let is_over = async || {
        let health = agent.backend.health().await;
        health.fault.is_none() && health.detail.is_empty()
    };
    wait::until(wait::SOON, "the node to be well", is_over)
        .await
        .expect("well");
    agent.has_sessions(&[&alice.name, &name, &first.name]).await;
    fleet.end(agent).await;
}
