//! A bus as `bus-init` makes it, with management and nodes connected.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use async_nats::{Client, ConnectError, ConnectOptions, Event, Subject, jetstream};
use chrono::Utc;
use futures_util::{StreamExt as _, TryStreamExt as _};
use nkeys::KeyPair;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use vpnmanager_nats::{
    ids::{NodeId, UserKey},
    permissions,
    security::{
        bus_files::{init::BusInit, open::BusFiles},
        keys::NodePublicKey,
        node_credentials::{NodeAuthority, issue_node_jwt},
    },
    subjects,
    topology::{self, Topology, TopologyOptions},
};
use vpnmanager_testbed::{nats::Nats, wait};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// One server with one fleet.
pub(crate) struct Bus {
    pub(crate) server: Nats,
    pub(crate) files: BusFiles,
    pub(crate) store: PathBuf,
}

impl Bus {
    pub(crate) async fn start() -> Self {
        Self::start_with(false).await
    }

    pub(crate) async fn start_with(allow_plaintext: bool) -> Self {
        let (mut dir, mut store) = (PathBuf::new(), PathBuf::new());
        let server = Nats::start(|site| {
            dir = site.dir.join("bus files");
            store = site.store.join("of the bus");
            let bus = BusInit {
                dir: dir.clone(),
                listen: site.listen,
                monitor: site.monitor,
                store_dir: store.clone(),
                hosts: vec!["bus.test".to_owned()],
                allow_plaintext,
                max_store: BusInit::DEFAULT_MAX_STORE,
            };
            bus.run().unwrap();
            format!(
                "include \"bus files/{}\"\n",
                BusFiles::new(&dir).server_config_path().file_name().unwrap().display()
            )
        })
        .await
        .unwrap();
        Self {
            server,
            files: BusFiles::new(dir),
            store,
        }
    }

    /// Connects with a credentials file, over TLS.
    pub(crate) async fn connect(&self, creds: PathBuf) -> Client {
        let options = ConnectOptions::with_credentials_file(creds).await.unwrap();
        options
            .add_root_certificates(self.files.ca_path())
            .require_tls(true)
            .connect(self.server.tls_url())
            .await
            .unwrap()
    }

    pub(crate) async fn management(&self) -> Management {
        let client = self.connect(self.files.management_creds_path()).await;
        let topology = Topology::ensure(&client, TopologyOptions::default()).await.unwrap();
        Management { client, topology }
    }

    pub(crate) async fn system(&self) -> Client {
        self.connect(self.files.system_creds_path()).await
    }

    /// A new node with a consumer of its own, connected.
    pub(crate) async fn node(&self, management: &Management, name: &str) -> Node {
        let id: NodeId = name.parse().unwrap();
        management.topology.ensure_node(&id).await.unwrap();
        let identity = NodeIdentity::issue(&id, &self.files.node_authority().unwrap());
        self.join(&identity).await.unwrap()
    }

    /// Connects a node once, as an agent does.
    pub(crate) async fn join(&self, identity: &NodeIdentity) -> Result<Node, ConnectError> {
        let (sender, events) = unbounded_channel();
        let key = identity.key.clone();
        let client = ConnectOptions::with_jwt(identity.jwt.clone(), move |nonce| {
            let key = key.clone();
            async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
        })
        .custom_inbox_prefix(permissions::inbox_prefix(&identity.id))
        .add_root_certificates(self.files.ca_path())
        .require_tls(true)
        .request_timeout(Some(DEADLINE))
        .event_callback(move |event| {
            let sender = sender.clone();
            async move { drop(sender.send(event)) }
        })
        .connect(self.server.tls_url())
        .await?;
        Ok(Node {
            id: identity.id.clone(),
            client,
            events,
        })
    }
}

/// Management's connection.
pub(crate) struct Management {
    pub(crate) client: Client,
    pub(crate) topology: Topology,
}

impl Management {
    /// Puts a command into the stream and returns its subject.
    pub(crate) async fn command(&self, node: &NodeId) -> String {
        let subject = subjects::command(node, UserKey::new());
        self.topology
            .context()
            .publish(subject.clone(), format!("for {node}").into())
            .await
            .unwrap()
            .await
            .unwrap();
        subject
    }

    /// Everything stored: stream, subject, sequence, payload; and how far each consumer is.
    pub(crate) async fn stored(&self) -> Stored {
        let mut stored = Stored::default();
        let names: Vec<String> = self.topology.context().stream_names().try_collect().await.unwrap();
        for name in names {
            let mut stream = self.topology.context().get_stream(&name).await.unwrap();
            let state = stream.info().await.unwrap().state.clone();
            for sequence in state.first_sequence..=state.last_sequence {
                if let Ok(message) = stream.get_raw_message(sequence).await {
                    stored
                        .messages
                        .push((message.subject, message.sequence, message.payload.to_vec()));
                }
            }
            stored.last_sequences.insert(name.clone(), state.last_sequence);
            let mut consumers = stream.consumers();
            while let Some(consumer) = consumers.next().await {
                let consumer = consumer.unwrap();
                let state = (
                    consumer.delivered.stream_sequence,
                    consumer.ack_floor.stream_sequence,
                    consumer.num_pending,
                );
                stored.consumers.insert(consumer.name, state);
            }
        }
        stored
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) messages: Vec<(Subject, u64, Vec<u8>)>,
    pub(crate) last_sequences: BTreeMap<String, u64>,
    pub(crate) consumers: BTreeMap<String, (u64, u64, u64)>,
}

impl Stored {
    pub(crate) fn on(&self, prefix: &str) -> Vec<&(Subject, u64, Vec<u8>)> {
        self.messages
            .iter()
            .filter(|(subject, ..)| subject.starts_with(prefix))
            .collect()
    }
}

/// What a node keeps.
#[derive(Clone)]
pub(crate) struct NodeIdentity {
    pub(crate) id: NodeId,
    pub(crate) key: KeyPair,
    pub(crate) jwt: String,
}

impl NodeIdentity {
    pub(crate) fn issue(id: &NodeId, authority: &NodeAuthority) -> Self {
        let key = KeyPair::new_user();
        let jwt = issue_node_jwt(id, &NodePublicKey::of(&key).unwrap(), Utc::now(), authority).unwrap();
        Self {
            id: id.clone(),
            key,
            jwt,
        }
    }

    pub(crate) fn public_key(&self) -> NodePublicKey {
        NodePublicKey::of(&self.key).unwrap()
    }
}

/// One connected node.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) client: Client,
    pub(crate) events: UnboundedReceiver<Event>,
}

impl Node {
    /// The JetStream API as a node reaches it.
    pub(crate) fn jetstream(&self) -> jetstream::Context {
        jetstream::with_prefix(self.client.clone(), topology::NODE_API_PREFIX)
    }

    /// Its own consumer.
    pub(crate) async fn consumer(&self) -> jetstream::consumer::PullConsumer {
        self.jetstream()
            .get_consumer_from_stream(self.id.as_str(), topology::COMMANDS)
            .await
            .unwrap()
    }

    /// A round trip on this connection: what it published before was handled, and what the server refused is in `events`.
    pub(crate) async fn barrier(&mut self) -> Vec<String> {
        self.consumer().await;
        let mut refusals = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let Event::ServerError(error) = event {
                refusals.push(error.to_string());
            }
        }
        refusals
    }

    /// Waits until the server says that it refused exactly this.
    pub(crate) async fn refused(&mut self, what: &str, subject: &str) {
        let expected = format!("Permissions Violation for {what} \"{subject}\"");
        let wanted = async {
            while let Some(event) = self.events.recv().await {
                if matches!(&event, Event::ServerError(error) if error.to_string().contains(&expected)) {
                    return;
                }
            }
            panic!("the connection ended");
        };
        tokio::time::timeout(DEADLINE, wanted)
            .await
            .unwrap_or_else(|_| panic!("not refused: {expected}"));
    }

    pub(crate) async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) {
        let seen = async {
            while let Some(event) = self.events.recv().await {
                if wanted(&event) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, seen)
            .await
            .unwrap_or_else(|_| panic!("never saw {what}"));
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    wait::until_some(DEADLINE, what, async || condition().await.then_some(()))
        .await
        .unwrap();
}
