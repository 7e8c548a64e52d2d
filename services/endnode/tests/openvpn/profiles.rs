//! Profiles with everything that management can put into one, in the client that reads it strictly: OpenVPN refuses a line that it does not know.

use vpnmanager_nats::{commands::Protocol, network::Mtu};
use vpnmanager_profile::{directive::ClientDirective, fleet_name::FleetName, profile::Extras};
use vpnmanager_testbed::{directives, ping, wait};

use crate::fleet::{Fleet, INSIDE};

async fn a_client_with_all_of_it_connects(protocol: Protocol, of_dns: &'static str) {
    let Some(fleet) = Fleet::build(protocol).await else {
        return;
    };
    let agent = fleet.start().await;
    let texts = directives::all_with(of_dns).into_iter();
    let directives: Vec<ClientDirective> = texts.map(|text| text.parse().expect(text)).collect();
    let fleet_name: FleetName = "Example Corp. VPN".parse().expect("a name");
    let extras = Extras {
        fleet_name: Some(&fleet_name),
        directives: &directives,
        mtu: Some(Mtu::try_from(1320).expect("an MTU")),
    };
    let host = fleet.node().address.to_string();
    let (name, profile) = fleet.credential_with("alice", &host, &extras);
    agent.allow(&name).await;
    let machine = fleet.machine().await;
    let client = fleet.client(&machine, &profile, "alice");
    client.connected(wait::SOON).await.expect("connected");
    assert!(ping::once(&machine, INSIDE).await, "no traffic");
    drop(client);
    fleet.end(agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_udp_a_client_with_every_directive_and_the_name_of_the_fleet_connects() {
    a_client_with_all_of_it_connects(Protocol::Udp, directives::BLOCK_OUTSIDE_DNS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_a_client_with_every_directive_and_the_name_of_the_fleet_connects() {
    a_client_with_all_of_it_connects(Protocol::Tcp, directives::KEEP_DNS).await;
}
