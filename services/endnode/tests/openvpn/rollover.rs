//! Another authority takes the place of the present one, and no client needs a new profile for it.

use std::time::Duration;

use vpnmanager_endnode::backend::{BackendState, VpnBackend};
use vpnmanager_nats::{commands::Protocol, ids::CommonName};
use vpnmanager_profile::profile::Profile;
use vpnmanager_testbed::{client::OpenvpnClient, wait};

use crate::{
    agent::Agent,
    fleet::{Connected, Fleet},
    pki::Pki,
};

async fn connect(
    fleet: &Fleet,
    agent: &Agent,
    (name, profile): (CommonName, Profile),
    username: &str,
) -> OpenvpnClient {
    agent.allow(&name).await;
    let client = fleet.client(&fleet.machine().await, &profile, username);
    client.connected(wait::SOON).await.expect("connected");
    client
}

/// As a rollout does it.
async fn restart(agent: &Agent) {
    agent.backend.restart().await.expect("begun");
    agent.is(BackendState::Up).await;
}

async fn is_back(client: &OpenvpnClient, times: usize) {
    client
        .connected_times(times, 2 * wait::SOON)
        .await
        .expect("connected again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_profiles_connect_before_and_during_a_rollover_and_new_ones_after_it() {
    let Some((fleet, agent)) = Fleet::serving(Protocol::Udp).await else {
        return;
    };
    let next = Pki::called("Next test CA");
    let bundle = format!("{}{}", fleet.pki().ca, next.ca);
    let Connected { client: alice, .. } = fleet.connect(&agent, "alice").await;

    // Begin: the node trusts both.
    fleet.trust(&bundle);
    restart(&agent).await;
    is_back(&alice, 2).await;

    // Clients: the next authority signs them, and their profiles have both.
    let credential = fleet.credential_of_authority(&next, &bundle, "bob");
    let bob = connect(&fleet, &agent, credential, "bob").await;
    assert_eq!(alice.connections(), 2, "nobody was disturbed");

    // Servers: once nobody knows the old one alone. Alice would refuse the node from here on; she has ended.
    alice.stop().await;
    fleet.renew_by(&next, "node-1.test-fleet");
    restart(&agent).await;
    is_back(&bob, 2).await;

    // Finish: the old one is trusted by nobody.
    fleet.trust(&next.ca);
    restart(&agent).await;
    is_back(&bob, 3).await;
    let credential = fleet.credential_of_authority(&next, &next.ca, "carol");
    connect(&fleet, &agent, credential, "carol").await;
    let (name, profile) = fleet.credential_of_authority(fleet.pki(), &bundle, "dave");
    agent.allow(&name).await;
    let dave = fleet.client(&fleet.machine().await, &profile, "dave");
    // The client logs that the server's TLS refuses it, or that it gave up: never that it is connected.
    assert!(dave.connected(Duration::from_secs(15)).await.is_err());
    fleet.end(agent).await;
}
