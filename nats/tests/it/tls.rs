//! TLS on the bus.

use async_nats::ConnectOptions;
use vpnmanager_nats::{
    connect::{BusAddress, Identity, connect},
    topology::{Topology, TopologyOptions},
};

use crate::fixture::{Bus, DEADLINE, NodeIdentity};

#[tokio::test]
async fn management_and_an_agent_connect_with_the_ca_of_the_bus() {
    let bus = Bus::start().await;
    let address = BusAddress {
        urls: vec![bus.server.tls_url()],
        ca_file: Some(bus.files.ca_path()),
    };
    let management = Identity::Credentials(bus.files.management_creds_path());
    let management = connect(&address, "management", management).await.unwrap();
    let topology = Topology::ensure(&management.client, TopologyOptions::default())
        .await
        .unwrap();
    let NodeIdentity { id, key, jwt } =
        NodeIdentity::issue(&"n1".parse().unwrap(), &bus.files.node_authority().unwrap());
    topology.ensure_node(&id).await.unwrap();

    let agent = Identity::Node {
        node: id.clone(),
        jwt: jwt.into(),
        seed: key.seed().unwrap(),
    };
    let mut agent = connect(&address, "agent", agent).await.unwrap();

    tokio::time::timeout(DEADLINE, agent.connections.wait_for(|count| *count > 0))
        .await
        .unwrap()
        .unwrap();
    let jetstream = async_nats::jetstream::with_prefix(agent.client, "jsvpn");
    let consumer: async_nats::jetstream::consumer::PullConsumer = jetstream
        .get_consumer_from_stream(id.as_str(), "VPN_COMMANDS")
        .await
        .unwrap();
    assert_eq!(consumer.cached_info().name, "n1");
}

#[tokio::test]
async fn a_server_with_another_ca_is_not_trusted() {
    let (ours, theirs) = (Bus::start().await, Bus::start().await);
    let options = ConnectOptions::with_credentials_file(ours.files.management_creds_path())
        .await
        .unwrap();
    let refused = options
        .add_root_certificates(theirs.files.ca_path())
        .require_tls(true)
        .connect(ours.server.tls_url())
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
}

/// A client that asks for no TLS: async-nats starts TLS by itself when the server requires it, so this speaks the protocol by hand.
async fn plaintext_connect_is_taken(bus: &Bus) -> bool {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let mut stream = BufReader::new(tokio::net::TcpStream::connect(bus.server.address()).await.unwrap());
    let mut info = String::new();
    stream.read_line(&mut info).await.unwrap();
    let required = info.contains("\"tls_required\":true");
    stream
        .write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    let answered = tokio::time::timeout(DEADLINE, stream.read_line(&mut answer))
        .await
        .unwrap();
    // Without credentials even a server that takes plaintext refuses, but in plain words.
    !required && answered.is_ok() && answer.contains("Authorization Violation")
}

#[tokio::test]
async fn plaintext_is_taken_only_where_it_was_allowed() {
    let (strict, lenient) = (Bus::start().await, Bus::start_with(true).await);

    assert!(!plaintext_connect_is_taken(&strict).await);
    assert!(plaintext_connect_is_taken(&lenient).await);

    let options = ConnectOptions::with_credentials_file(lenient.files.management_creds_path())
        .await
        .unwrap();
    let client = options.connect(lenient.server.url()).await.unwrap();
    Topology::ensure(&client, TopologyOptions::default()).await.unwrap();
}
