//! A server with one account in which everything is allowed: for what does not depend on who asks.

use async_nats::{
    Client,
    jetstream::{consumer::PullConsumer, message::StreamMessage},
};
use futures_util::StreamExt as _;
use vpnmanager_nats::{
    commands::{Command, PutUser, RemoveUser},
    delivery::Delivery,
    envelope::Envelope,
    ids::{NodeId, Revision, UserKey},
    publish::{Publication, PublishError, Published, publish_all},
    subjects,
    topology::{self, Topology, TopologyOptions},
};
use vpnmanager_testbed::nats::Nats;

use crate::fixture::DEADLINE;

pub(crate) struct Bare {
    pub(crate) server: Nats,
    pub(crate) client: Client,
    pub(crate) topology: Topology,
}

impl Bare {
    pub(crate) async fn start() -> Self {
        let server = Self::server().await;
        let client = async_nats::connect(server.url()).await.unwrap();
        let topology = Topology::ensure(&client, TopologyOptions::default()).await.unwrap();
        Self {
            server,
            client,
            topology,
        }
    }

    /// Only the server.
    pub(crate) async fn server() -> Nats {
        Nats::start(|site| site.plain_config()).await.unwrap()
    }

    /// What another replica of management holds: a connection of its own.
    pub(crate) async fn replica(&self) -> Topology {
        let client = async_nats::connect(self.server.url()).await.unwrap();
        Topology::ensure(&client, TopologyOptions::default()).await.unwrap()
    }

    /// A new node's consumer, as its agent sees it.
    pub(crate) async fn node(&self, node: &NodeId) -> PullConsumer {
        self.topology.ensure_node(node).await.unwrap();
        self.consumer(node).await
    }

    pub(crate) async fn consumer(&self, node: &NodeId) -> PullConsumer {
        self.topology.commands().get_consumer(node.as_str()).await.unwrap()
    }

    /// Publishes one command and returns its sequence.
    pub(crate) async fn store(&self, command: Envelope<Command>) -> u64 {
        match publish(&self.topology, command, 0).await.unwrap() {
            Published::Stored { sequence } => sequence,
            Published::Overtaken { .. } => panic!("overtaken"),
        }
    }

    /// Puts bytes on a command's subject, bypassing everything.
    pub(crate) async fn store_raw(&self, node: &NodeId, user: UserKey, payload: &'static str) -> u64 {
        let subject = subjects::command(node, user);
        let published = self.topology.context().publish(subject, payload.into()).await.unwrap();
        published.await.unwrap().sequence
    }

    /// The newest message on the subject of a user, if any.
    pub(crate) async fn newest(&self, node: &NodeId, user: UserKey) -> Option<StreamMessage> {
        let subject = subjects::command(node, user);
        self.topology
            .commands()
            .get_last_raw_message_by_subject(&subject)
            .await
            .ok()
    }

    /// How many messages the stream of commands holds, and the last sequence that it gave.
    pub(crate) async fn state(&self) -> (u64, u64) {
        let mut stream = self.topology.context().get_stream(topology::COMMANDS).await.unwrap();
        let state = &stream.info().await.unwrap().state;
        (state.messages, state.last_sequence)
    }
}

pub(crate) async fn publish(
    topology: &Topology,
    command: Envelope<Command>,
    expected_sequence: u64,
) -> Result<Published, PublishError> {
    let publication = Publication {
        command,
        expected_sequence,
    };
    tokio::time::timeout(DEADLINE, publish_all(topology, &[publication]))
        .await
        .unwrap()
        .remove(0)
}

/// The next message; fails when none comes in time.
pub(crate) async fn next(consumer: &PullConsumer) -> Delivery {
    let batch = consumer.batch().max_messages(1).expires(DEADLINE);
    let mut batch = batch.messages().await.unwrap();
    batch.next().await.expect("no message came").unwrap().into()
}

/// Everything that can be had at this moment.
pub(crate) async fn waiting(consumer: &PullConsumer) -> Vec<Delivery> {
    let batch = consumer.fetch().max_messages(1000).messages().await.unwrap();
    batch.map(|message| message.unwrap().into()).collect().await
}

pub(crate) fn node(id: &str) -> NodeId {
    id.parse().unwrap()
}

pub(crate) fn put(node: &NodeId, user_key: UserKey, revision: i64) -> Envelope<Command> {
    Envelope::new(Command::PutUser(PutUser {
        credentials: vec!["alice.abcdefghijklmn23".parse().unwrap()],
        ..PutUser::new(node.clone(), user_key, "alice".parse().unwrap(), Revision(revision))
    }))
}

pub(crate) fn remove(node: &NodeId, user_key: UserKey, revision: i64) -> Envelope<Command> {
    Envelope::new(Command::RemoveUser(RemoveUser {
        node: node.clone(),
        user_key,
        username: "alice".parse().unwrap(),
        revision: Revision(revision),
    }))
}
