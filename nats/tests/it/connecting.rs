//! Agents connect whenever the server comes up, and everybody comes back after it was away.

use std::time::{Duration, Instant};

use async_nats::{Client, ConnectErrorKind, ConnectOptions, connection::State};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use tokio::time::timeout;
use vpnmanager_nats::{
    attempt::attempt,
    connect::{self, BusAddress, ConnectError, Identity, NodeJwt},
    security::{claims::UserClaims, jwt::Claims, keys::NodePublicKey, node_credentials::issue_node_jwt},
    topology::{Topology, TopologyOptions},
};
use vpnmanager_testbed::nats::Nats;

use crate::{
    bare::node,
    fixture::{Bus, DEADLINE, NodeIdentity, until},
};

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_agent_started_before_the_server_connects_by_itself() {
    let mut bus = Bus::start().await;
    let identity = agent(&bus);
    bus.server.stop().await;

    let agent = connect::connect(&address(&bus), "endnode n1", identity).await.unwrap();
    assert_eq!(*agent.connections.borrow(), 0);
    bus.server.restart().await.unwrap();

    reaches(&agent, 1).await;
    agent.client.flush().await.unwrap();
}

#[tokio::test]
async fn each_reconnect_is_counted() {
    let mut bus = Bus::start().await;
    let agent = connect::connect(&address(&bus), "endnode n1", agent(&bus))
        .await
        .unwrap();
    let credentials = Identity::Credentials(bus.files.management_creds_path());
    let management = connect::connect(&address(&bus), "management m1", credentials)
        .await
        .unwrap();
    reaches(&agent, 1).await;
    reaches(&management, 1).await;

    for connections in [2, 3] {
        bus.server.kill().await;
        bus.server.restart().await.unwrap();
        reaches(&agent, connections).await;
        reaches(&management, connections).await;
    }

    Topology::ensure(&management.client, TopologyOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn an_agent_of_another_fleet_is_refused_and_does_not_hammer_the_server() {
    let (bus, other) = (Bus::start().await, Bus::start().await);
    let system = bus.system().await;
    let before = connections_so_far(&system).await;
    let started = Instant::now();

    let agent = connect::connect(&address(&bus), "stranger", agent(&other))
        .await
        .unwrap();

    until("five tries", async || connections_so_far(&system).await >= before + 5).await;
    // 50, 100, 200, 400 and 800 ms, each at least half of it.
    assert!(
        started.elapsed() >= Duration::from_millis(775),
        "five tries in {:?}",
        started.elapsed()
    );
    assert_eq!(*agent.connections.borrow(), 0);
}

#[tokio::test]
async fn a_credential_that_ends_while_it_is_used_makes_no_hot_loop_and_a_fresh_one_is_taken() {
    let bus = Bus::start().await;
    let system = bus.system().await;
    let authority = bus.files.node_authority().unwrap();
    let (id, key) = (node("n1"), nkeys::KeyPair::new_user());
    let public = NodePublicKey::of(&key).unwrap();
    let fresh = || issue_node_jwt(&id, &public, Utc::now(), &authority).unwrap();
    let mut claims = Claims::<UserClaims>::verify(&fresh(), &[&authority.signer.public_key()]).unwrap();
    claims.expires_at = Some(Utc::now() + TimeDelta::seconds(3));
    let jwt = NodeJwt::from(claims.sign(&authority.signer).unwrap());
    let identity = Identity::Node {
        node: id.clone(),
        jwt: jwt.clone(),
        seed: key.seed().unwrap(),
    };
    let agent = connect::connect(&address(&bus), "endnode n1", identity).await.unwrap();
    reaches(&agent, 1).await;

    until("the server to throw it out", async || {
        agent.client.connection_state() != State::Connected
    })
    .await;
    let (before, thrown_out) = (connections_so_far(&system).await, Instant::now());
    until("six tries", async || connections_so_far(&system).await >= before + 6).await;
    // The five pauses between them double from 50 ms on, each at least half of it; what was tried before the count makes them longer.
    assert!(
        thrown_out.elapsed() >= Duration::from_millis(775),
        "six tries in {:?}",
        thrown_out.elapsed()
    );
    // The end counts in whole seconds: within its last one the server lets it in and throws it out again.
    let taken = *agent.connections.borrow();
    assert!(taken <= 7, "it was let in {taken} times");

    jwt.replace(fresh());
    reaches(&agent, taken + 1).await;
    agent.client.flush().await.unwrap();
}

#[tokio::test]
async fn operators_see_who_is_connected() {
    let bus = Bus::start().await;
    let agent = connect::connect(&address(&bus), "endnode n1", agent(&bus))
        .await
        .unwrap();
    reaches(&agent, 1).await;
    let system = bus.system().await;

    until("the name of the connection", async || {
        let answer = monitor(&system, "CONNZ").await;
        let connections = answer["connections"].as_array().unwrap();
        connections.iter().any(|connection| connection["name"] == "endnode n1")
    })
    .await;
}

#[tokio::test]
async fn management_fails_at_once_when_there_is_no_server() {
    let bus = Bus::start().await;
    bus.server.stop().await;

    let credentials = Identity::Credentials(bus.files.management_creds_path());
    let address = address(&bus);
    let attempt = connect::connect(&address, "management m1", credentials);

    let result = timeout(LONG, attempt).await.expect("it must not try for ever");
    assert!(matches!(result, Err(ConnectError::Connect(_))));
}

#[tokio::test]
async fn an_attempt_goes_on_to_the_next_address_and_says_why_none_lets_it_in() {
    let bus = Bus::start().await;
    let options = async || {
        ConnectOptions::with_credentials_file(bus.files.management_creds_path())
            .await
            .unwrap()
    };
    // The order is random: with one address that works in three, most attempts begin with another one.
    let mut some = address(&bus);
    some.urls
        .extend(["tls://127.0.0.1:1", "tls://127.0.0.1:2"].map(str::to_owned));
    for _ in 0..5 {
        attempt(options().await, &some, DEADLINE).await.unwrap();
    }
    some.urls.remove(0);
    let refused = attempt(options().await, &some, DEADLINE).await.unwrap_err();
    assert_eq!(refused.kind(), ConnectErrorKind::Io);
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_said() {
    let nowhere = |url: &str| BusAddress {
        urls: vec![url.to_owned()],
        ca_file: None,
    };
    let missing = Identity::Credentials("no/such/file.creds".into());
    let result = connect::connect(&nowhere("nats://127.0.0.1:1"), "x", missing).await;
    assert!(matches!(result, Err(ConnectError::Credentials { path, .. }) if path.ends_with("file.creds")));

    let unkeyed = Identity::Node {
        node: node("n1"),
        jwt: String::new().into(),
        seed: "SUxx".to_owned(),
    };
    let result = connect::connect(&nowhere("nats://127.0.0.1:1"), "x", unkeyed).await;
    assert!(matches!(result, Err(ConnectError::Key(_))));

    let seed = nkeys::KeyPair::new_user().seed().unwrap();
    let lost = Identity::Node {
        node: node("n1"),
        jwt: String::new().into(),
        seed,
    };
    let result = connect::connect(&nowhere("http://[broken"), "x", lost).await;
    assert!(matches!(result, Err(ConnectError::Url(_))));
}

#[tokio::test]
async fn a_server_without_tls_gets_no_credentials() {
    let plain = Nats::start(|site| site.plain_config()).await.unwrap();
    let bus = Bus::start().await;
    let address = BusAddress {
        urls: vec![plain.tls_url()],
        ca_file: Some(bus.files.ca_path()),
    };

    let credentials = Identity::Credentials(bus.files.management_creds_path());
    let result = timeout(LONG, connect::connect(&address, "management m1", credentials))
        .await
        .unwrap();

    assert!(matches!(result, Err(ConnectError::Connect(_))));
}

/// What the server's monitoring says.
async fn monitor(system: &Client, what: &str) -> Value {
    let answer = timeout(
        DEADLINE,
        system.request(format!("$SYS.REQ.SERVER.PING.{what}"), "".into()),
    )
    .await
    .unwrap();
    serde_json::from_slice::<Value>(&answer.unwrap().payload).unwrap()["data"].take()
}

async fn connections_so_far(system: &Client) -> u64 {
    monitor(system, "VARZ").await["total_connections"].as_u64().unwrap()
}

fn agent(bus: &Bus) -> Identity {
    let id = node("n1");
    let NodeIdentity { key, jwt, .. } = NodeIdentity::issue(&id, &bus.files.node_authority().unwrap());
    Identity::Node {
        node: id,
        jwt: jwt.into(),
        seed: key.seed().unwrap(),
    }
}

fn address(bus: &Bus) -> BusAddress {
    BusAddress {
        urls: vec![bus.server.tls_url()],
        ca_file: Some(bus.files.ca_path()),
    }
}

async fn reaches(bus: &connect::Bus, connections: u64) {
    let mut counter = bus.connections.clone();
    let reached = timeout(LONG, counter.wait_for(|count| *count >= connections)).await;
    assert_eq!(
        *reached
            .unwrap_or_else(|_| panic!("never connected for the {connections}th time"))
            .unwrap(),
        connections
    );
}
