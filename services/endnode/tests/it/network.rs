//! What management tells of the pool's network is kept; an agent that does not run OpenVPN changes nothing by it.

use vpnmanager_nats::{
    envelope::Envelope,
    ids::Revision,
    network::{Network, PoolNetwork},
    node_requests::NodeRequest,
    subjects,
};
use vpnmanager_testbed::wait;

use crate::{
    agent::Agent,
    bus::fleet,
    fake_management::{DEADLINE, FakeManagement},
    parts::{Parts, node_id},
};

fn network(revision: i64, route: &str) -> PoolNetwork {
    PoolNetwork {
        pool: "default".parse().unwrap(),
        revision: Revision(revision),
        network: Some(Network {
            routes: vec![route.parse().unwrap()],
            ..Network::default()
        }),
    }
}

/// A handshake from its question to its end.
pub(crate) async fn shakes_hands(management: &FakeManagement) {
    let before = management.script().syncs.len();
    let subject = subjects::node_request(&node_id(), &NodeRequest::Sync);
    let prompt = Envelope::new(NodeRequest::Sync).encode();
    management.client.request(subject, prompt).await.unwrap();
    let asked = || async { management.script().syncs.len() > before };
    wait::until(DEADLINE, "a handshake", asked).await.unwrap();
}

fn journaled(agent: &Agent) -> Option<PoolNetwork> {
    agent.journaled("network")
}

async fn comes_to_hold(agent: &Agent, network: &PoolNetwork) {
    let holds = || async { journaled(agent).as_ref() == Some(network) };
    wait::until(DEADLINE, "the network in the journal", holds)
        .await
        .unwrap_or_else(|error| panic!("{error}\n{}", agent.log()));
}

#[tokio::test]
async fn what_is_told_is_journaled_and_an_older_management_changes_nothing() {
    let (management, mut agent) = fleet().await;
    assert_eq!(journaled(&agent), None);
    let (first, second) = (network(1, "10.20.0.0/16"), network(2, "10.30.0.0/16"));

    management.script().network = Some(first.clone());
    shakes_hands(&management).await;
    comes_to_hold(&agent, &first).await;

    management.script().network = None;
    shakes_hands(&management).await;
    agent.kill().await;
    assert_eq!(journaled(&agent), Some(first));

    management.script().network = Some(second.clone());
    agent.start().await;
    comes_to_hold(&agent, &second).await;
    let beat = management.script().heartbeats.last().cloned().unwrap();
    assert_eq!(beat.network, None, "OPENVPN_MODE is none");
    assert!(!agent.dir.join("pushed").exists());
}

#[tokio::test]
async fn what_another_release_wrote_is_not_known_until_management_says_it_again() {
    let parts = Parts::new();
    let told = network(1, "10.20.0.0/16");
    let written = told.clone();
    parts
        .journal
        .write(move |records| records.set_network(&written))
        .await
        .unwrap();
    let read = || parts.journal.read(|records| records.network());
    assert_eq!(read().await.unwrap(), Some(told));

    let other = rusqlite::Connection::open(parts.dir.journal()).unwrap();
    other
        .execute("UPDATE meta SET value = '{\"pool\": 7}' WHERE key = 'network'", [])
        .unwrap();

    assert_eq!(read().await.unwrap(), None);
}
