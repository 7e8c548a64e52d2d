//! Three servers: streams that each of them keeps.

use std::net::Ipv4Addr;

use async_nats::{
    Client,
    jetstream::{self, stream::StorageType},
};
use vpnmanager_nats::{
    ids::{NodeId, UserKey},
    subjects,
    topology::{COMMANDS, EVENTS_CONSUMER, Topology, TopologyOptions, reports_stream},
};
use vpnmanager_testbed::{nats::Nats, ports, wait};

use crate::fixture::DEADLINE;

/// Servers of one cluster, each with a store of its own.
async fn three_servers() -> Vec<Nats> {
    let ports: Vec<u16> = (0..3).map(|_| ports::free().unwrap()).collect();
    let routes: Vec<String> = ports
        .iter()
        .map(|port| format!("\"nats://{}:{port}\"", Ipv4Addr::LOCALHOST))
        .collect();
    let mut servers = Vec::new();
    for port in &ports {
        let server = Nats::start(|site| {
            format!(
                "{}server_name: \"nats-{port}\"\ncluster {{ name: \"bus\", listen: \"{}:{port}\", routes: [{}] }}\n",
                site.plain_config(),
                Ipv4Addr::LOCALHOST,
                routes.join(", ")
            )
        });
        servers.push(server.await.unwrap());
    }
    servers
}

async fn connect(servers: &[Nats]) -> Client {
    let urls: Vec<async_nats::ServerAddr> = servers.iter().map(|server| server.url().parse().unwrap()).collect();
    async_nats::connect(urls).await.unwrap()
}

async fn ensure(client: &Client, replicas: usize) -> Topology {
    let wanted = || TopologyOptions {
        replicas,
        ..TopologyOptions::default()
    };
    // The servers elect one that makes streams, which takes them a few seconds.
    let made = wait::until_ok(DEADLINE, "the streams", async || {
        Topology::ensure(client, wanted()).await
    });
    made.await.unwrap()
}

async fn copies(client: &Client, stream: &str) -> usize {
    let mut stream = jetstream::new(client.clone()).get_stream(stream).await.unwrap();
    let info = stream.info().await.unwrap();
    assert_eq!(info.config.storage, StorageType::File);
    info.config.num_replicas
}

/// Whether all servers that should keep a stream have all of it.
async fn is_whole(client: &Client, stream: &str) -> bool {
    let mut stream = jetstream::new(client.clone()).get_stream(stream).await.unwrap();
    let cluster = stream.info().await.unwrap().cluster.as_ref();
    cluster.is_some_and(|cluster| cluster.replicas.len() == 2 && cluster.replicas.iter().all(|peer| peer.current))
}

#[tokio::test]
async fn streams_of_one_server_get_the_copies_that_are_asked_for_and_outlive_a_server() {
    let servers = three_servers().await;
    let client = connect(&servers).await;
    let node: NodeId = "n1".parse().unwrap();
    ensure(&client, 1).await.ensure_node(&node).await.unwrap();
    assert_eq!(copies(&client, COMMANDS).await, 1);
    let subject = subjects::command(&node, UserKey::new());
    let publish = async |text: &str| {
        let context = jetstream::new(client.clone());
        let text = text.to_owned();
        let stored = wait::until_ok(DEADLINE, "the command", async || {
            let sent = context.publish(subject.clone(), text.clone().into()).await;
            sent.map_err(|error| error.to_string())?
                .await
                .map_err(|error| error.to_string())
        });
        stored.await.unwrap();
    };
    publish("before").await;

    let topology = ensure(&client, 3).await;
    let reports = topology.ensure_reports(&node).await.unwrap();

    assert_eq!(copies(&client, COMMANDS).await, 3);
    assert_eq!(copies(&client, &reports_stream(&node)).await, 3);
    assert_eq!(reports.cached_info().name, EVENTS_CONSUMER);
    // Until each server has all of it, the one that had it alone must not be lost.
    let is_whole = async || is_whole(&client, COMMANDS).await;
    wait::until(DEADLINE, "each server to have the commands", is_whole)
        .await
        .unwrap();
    // Whichever it is: the one that this client talks to, and perhaps the one that leads the stream.
    let there = client.server_info().port;
    let lost = servers.iter().find(|server| server.address().port() == there);
    lost.expect("the server of this client").kill().await;
    publish("after").await;
    let held = wait::until_ok(DEADLINE, "the commands", async || topology.commands_held(&node).await);
    assert_eq!(held.await.unwrap().len(), 1);
}
