//! Who of the nodes is connected, or was a moment ago, and how much each connection has sent: what the servers say.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use super::keys::{AccountKey, NodePublicKey};

/// After the first answer the other servers of a cluster have this long.
const OTHERS_WITHIN: Duration = Duration::from_millis(300);
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// Everything must be listed within this time.
const ALL_WITHIN: Duration = Duration::from_secs(30);
/// Connections in one answer. Each has what the client said of itself, up to 20 kB of it: so an answer has 10 MB at most. A server closes the
/// connection of whoever asked when its answer is larger than `max_pending`, 64 MB by default.
const PAGE: usize = 512;
/// The most connections of one server that are listed.
const MOST: usize = 65_536;
/// `ConnAll` of nats-server (`ConnzOptions`): open connections, and the last ones that were closed (`max_closed_clients`).
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
    /// How long ago it was opened.
    pub age: Duration,
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
    /// There were answers, but not all of them.
    #[error("the servers did not list all connections within {}s", ALL_WITHIN.as_secs())]
    Slow,
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
    /// By the clock of the server.
    now: DateTime<Utc>,
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    /// By the clock of the server.
    start: DateTime<Utc>,
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
///
/// They are listed in pages, and change meanwhile. So one that was there all the time may be missing, though seldom; none is there twice.
pub async fn list_node_connections(
    system: &Client,
    nodes: &AccountKey,
) -> Result<Vec<NodeConnection>, ListConnectionsError> {
    list_node_connections_by(system, nodes, PAGE).await
}

/// As [`list_node_connections`], with so many connections in one answer, at least 1.
pub async fn list_node_connections_by(
    system: &Client,
    nodes: &AccountKey,
    page: usize,
) -> Result<Vec<NodeConnection>, ListConnectionsError> {
    let listing = Listing {
        system,
        nodes,
        page: page.max(1),
        found: BTreeMap::new(),
    };
    timeout(ALL_WITHIN, listing.all())
        .await
        .map_err(|_elapsed| ListConnectionsError::Slow)?
}

struct Listing<'a> {
    system: &'a Client,
    nodes: &'a AccountKey,
    page: usize,
    found: BTreeMap<(String, u64), NodeConnection>,
}

impl Listing<'_> {
    async fn all(mut self) -> Result<Vec<NodeConnection>, ListConnectionsError> {
        for first in self.first_pages().await? {
            let server = first.server.id.clone();
            let mut is_full = self.take(first);
            let mut offset = self.page;
            while is_full && offset < MOST {
                let next = self.page_of(&server, offset).await?;
                is_full = self.take(next);
                offset += self.page;
            }
        }
        Ok(self.found.into_values().collect())
    }

    /// By number: one that is opened meanwhile comes last, and one that ends keeps its place.
    fn question(&self, offset: usize) -> String {
        json!({
            "auth": true, "acc": self.nodes.as_str(), "state": OPEN_AND_CLOSED, "sort": "cid", "offset": offset, "limit": self.page,
        })
        .to_string()
    }

    /// The first page of every server.
    async fn first_pages(&self) -> Result<Vec<Answer>, ListConnectionsError> {
        let inbox = self.system.new_inbox();
        let mut answers = self.system.subscribe(inbox.clone()).await.map_err(ask)?;
        let subject = "$SYS.REQ.SERVER.PING.CONNZ";
        self.system
            .publish_with_reply(subject, inbox, self.question(0).into())
            .await
            .map_err(ask)?;
        let mut deadline = Instant::now() + FIRST_WITHIN;
        let mut pages = Vec::new();
        while let Ok(Some(message)) = timeout_at(deadline, answers.next()).await {
            pages.push(read(&message.payload)?);
            deadline = Instant::now() + OTHERS_WITHIN;
        }
        if pages.is_empty() {
            return Err(ListConnectionsError::NoAnswer);
        }
        Ok(pages)
    }

    /// A later page of one server.
    async fn page_of(&self, server: &str, offset: usize) -> Result<Answer, ListConnectionsError> {
        let subject = format!("$SYS.REQ.SERVER.{server}.CONNZ");
        let request = self.system.request(subject, self.question(offset).into());
        let answered = timeout(FIRST_WITHIN, request).await;
        let message = answered
            .map_err(|_elapsed| ListConnectionsError::NoAnswer)?
            .map_err(ask)?;
        read(&message.payload)
    }

    /// Adds what is in an answer; what was there before is older. Says whether there may be more.
    fn take(&mut self, answer: Answer) -> bool {
        let Answer { server, data } = answer;
        let is_full = data.connections.len() >= self.page;
        for connection in data.connections {
            let Ok(key) = connection.authorized_user.parse() else {
                continue;
            };
            let id = (server.id.clone(), connection.cid);
            let found = NodeConnection {
                key,
                id: id.clone(),
                is_closed: connection.stop.is_some(),
                age: (data.now - connection.start).to_std().unwrap_or_default(),
                messages: connection.in_msgs,
                bytes: connection.in_bytes,
            };
            self.found.insert(id, found);
        }
        is_full
    }
}

fn read(payload: &[u8]) -> Result<Answer, ListConnectionsError> {
    serde_json::from_slice(payload).map_err(ListConnectionsError::Answer)
}

fn ask(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ListConnectionsError {
    ListConnectionsError::Ask(error.into())
}
