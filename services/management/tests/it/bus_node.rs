//! A node that is enrolled and connected to the bus, as an agent or as a thief with its credential.

use async_nats::connection::State;
use bytes::Bytes;
use futures_util::StreamExt as _;
use nkeys::KeyPair;
use poem::http::StatusCode;
use vpnmanager_nats::{
    connect::{self, Bus, BusAddress, Identity},
    envelope::Envelope,
    ids::NodeId,
    node_requests::NodeRequest,
    subjects,
};
use vpnmanager_testbed::wait;

use crate::stack::{Stack, WithKey as _, copy_of, json_of, registration};

/// A node on the bus, with the credential that it was given.
pub(crate) struct Joined {
    pub(crate) bus: Bus,
    pub(crate) jwt: String,
}

/// Enrols a node and connects to the bus as it does.
pub(crate) async fn connect_as(stack: &Stack, id: &str) -> Bus {
    connect_with(stack, id, &KeyPair::new_user()).await.bus
}

pub(crate) async fn connect_with(stack: &Stack, id: &str, key: &KeyPair) -> Joined {
    let body = registration(id).by(copy_of(key)).body();
    let client = stack.client();
    let request = client.post("/api/endnodes/register").admin().body_json(&body);
    let enrolment = json_of(request.send().await, StatusCode::CREATED).await;
    let jwt = enrolment["bus"]["jwt"].as_str().expect("a credential").to_owned();
    Joined {
        bus: join_as(stack, id, key, &jwt).await,
        jwt,
    }
}

pub(crate) async fn join_as(stack: &Stack, id: &str, key: &KeyPair, jwt: &str) -> Bus {
    let bus = dial_as(stack, id, key, jwt).await;
    wait::until(wait::SOON, "the bus", async || is_connected(&bus))
        .await
        .expect("connected");
    bus
}

/// Begins to connect, and tries again and again.
pub(crate) async fn dial_as(stack: &Stack, id: &str, key: &KeyPair, jwt: &str) -> Bus {
    let address = BusAddress {
        urls: vec![stack.nats.tls_url()],
        ca_file: Some(stack.config.bus.dir.join("ca.pem")),
    };
    let identity = Identity::Node {
        node: id.parse().expect("a server id"),
        jwt: jwt.to_owned().into(),
        seed: key.seed().expect("a seed"),
    };
    connect::connect(&address, id, identity).await.expect("a client")
}

pub(crate) fn is_connected(bus: &Bus) -> bool {
    bus.client.connection_state() == State::Connected
}

/// Answers each request of management to the node from now on.
pub(crate) async fn answer_requests(
    stack: &Stack,
    id: &str,
    bus: Bus,
    answer: impl Fn(NodeRequest) -> Bytes + Send + 'static,
) {
    answer_some_requests(stack, id, bus, move |request| Some(answer(request))).await;
}

/// The same, but for those that get no answer. Those to begin a handshake must get one.
pub(crate) async fn answer_some_requests(
    stack: &Stack,
    id: &str,
    bus: Bus,
    answer: impl Fn(NodeRequest) -> Option<Bytes> + Send + 'static,
) {
    let node: NodeId = id.parse().expect("a server id");
    let mut requests = bus
        .client
        .subscribe(subjects::node_requests_of(&node))
        .await
        .expect("subscribed");
    bus.client.flush().await.expect("flushed");
    stack.tasks.spawn_job(id, async move {
        while let Some(message) = requests.next().await {
            let request = Envelope::<NodeRequest>::decode(&message.payload)?.body;
            let reply = message.reply.ok_or_else(|| anyhow::anyhow!("no reply subject"))?;
            if let Some(answer) = answer(request) {
                bus.client.publish(reply, answer).await?;
            }
        }
        Ok(())
    });
    // A node that has just connected hears requests of management a moment later.
    let subject = subjects::node_request(&node, &NodeRequest::Sync);
    let heard = async || {
        let asked = Envelope::new(NodeRequest::Sync).encode();
        stack.app.bus.client.request(subject.clone(), asked).await.is_ok()
    };
    wait::until(wait::SOON, "the node to be heard", heard)
        .await
        .expect("in time");
}
