//! Who of the nodes is connected, or was a moment ago, and how much each connection has sent: what the servers say.

use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::keys::{AccountKey, NodePublicKey};

/// After the first answer the other servers of a cluster have this long.
const OTHERS_WITHIN: Duration = Duration::from_millis(300);
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// The most connections that one server lists.
const LIMIT: usize = 65_536;
/// `ConnAll` of nats-server (`ConnzOptions`): open connections, and the last ones that were closed (10,000 by default).
const OPEN_AND_CLOSED: u8 = 2;

/// One connection of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConnection {
    /// The key with which the node authenticated.
    pub key: NodePublicKey,
    /// The server and its number for the connection: together they name it for as long as it lives.
    pub id: (String, u64),
    /// Whether it has ended.
    pub is_closed: bool,
    /// Messages that it has sent.
    pub messages: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Why the connections are not known.
#[derive(Debug, thiserror::Error)]
pub enum ListConnectionsError {
    /// The question could not be sent.
    #[error("asking the servers for their connections failed")]
    Ask(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No server answered.
    #[error("no server answered within {}s", FIRST_WITHIN.as_secs())]
    NoAnswer,
    /// An answer could not be read.
    #[error("an answer about connections is not understood")]
    Answer(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Answer {
    server: Server,
    data: Data,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    #[serde(default)]
    authorized_user: String,
    #[serde(default)]
    in_msgs: u64,
    #[serde(default)]
    in_bytes: u64,
    /// When it ended.
    #[serde(default)]
    stop: Option<String>,
}

/// The connections of the nodes' account, open or closed, of every server that answers in time. `system` is a user of the system account.
pub async fn list_node_connections(
    system: &Client,
    nodes: &AccountKey,
) -> Result<Vec<NodeConnection>, ListConnectionsError> {
    let inbox = system.new_inbox();
    let mut answers = system.subscribe(inbox.clone()).await.map_err(ask)?;
    let question = json!({ "auth": true, "acc": nodes.as_str(), "limit": LIMIT, "state": OPEN_AND_CLOSED }).to_string();
    let subject = "$SYS.REQ.SERVER.PING.CONNZ";
    system
        .publish_with_reply(subject, inbox, question.into())
        .await
        .map_err(ask)?;
    let mut deadline = Instant::now() + FIRST_WITHIN;
    let mut found = None;
    while let Ok(Some(message)) = timeout_at(deadline, answers.next()).await {
        let answer: Answer = serde_json::from_slice(&message.payload).map_err(ListConnectionsError::Answer)?;
        let Answer { server, data } = answer;
        let connections = found.get_or_insert_with(Vec::new);
        connections.extend(data.connections.into_iter().filter_map(|connection| {
            Some(NodeConnection {
                key: connection.authorized_user.parse().ok()?,
                id: (server.id.clone(), connection.cid),
                is_closed: connection.stop.is_some(),
                messages: connection.in_msgs,
                bytes: connection.in_bytes,
            })
        }));
        deadline = Instant::now() + OTHERS_WITHIN;
    }
    found.ok_or(ListConnectionsError::NoAnswer)
}

fn ask(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ListConnectionsError {
    ListConnectionsError::Ask(error.into())
}
