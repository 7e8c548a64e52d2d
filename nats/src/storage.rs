//! Whether the bus stores commands, found out by storing one, and why it does not, as its servers say.

use std::time::Duration;

use async_nats::{Client, jetstream::context::PublishError};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::{subjects, topology::Topology};

/// How long a server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// After the first answer the other servers of a cluster have this long.
const OTHERS_WITHIN: Duration = Duration::from_millis(300);

/// Stores a message beside the commands, in the same stream, on a subject that no node reads; each publisher's newest one is kept.
///
/// # Errors
/// The stream stored nothing, or did not confirm it within 5 s: nats-server answers nothing at all while its disk is full (measured, 2.15).
pub async fn prove(topology: &Topology, publisher: &str) -> Result<(), PublishError> {
    let stored = topology
        .context()
        .publish(subjects::proof(publisher), "".into())
        .await?;
    stored.await.map(drop)
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// Its name.
    pub server: String,
    /// What is wrong with it, in its words; `None`: nothing.
    pub fault: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    server: Server,
    data: Option<Health>,
}

#[derive(Default, Deserialize)]
struct Server {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    error: Option<String>,
}

/// What each server of the bus says of itself; none of a server that says nothing. `system` is a user of the system account.
pub async fn health(system: &Client) -> Vec<ServerHealth> {
    let inbox = system.new_inbox();
    let Ok(mut answers) = system.subscribe(inbox.clone()).await else {
        return Vec::new();
    };
    let asked = system.publish_with_reply("$SYS.REQ.SERVER.PING.HEALTHZ", inbox, "".into());
    if asked.await.is_err() {
        return Vec::new();
    }
    let mut deadline = Instant::now() + PATIENCE;
    let mut told = Vec::new();
    while let Ok(Some(message)) = timeout_at(deadline, answers.next()).await {
        told.extend(read(&message.payload));
        deadline = Instant::now() + OTHERS_WITHIN;
    }
    told
}

/// What is wrong with the first server that says that something is; `None` when nothing is, or when no server answers.
pub async fn fault(system: &Client) -> Option<String> {
    let told = health(system).await;
    told.into_iter().find_map(|told| told.fault)
}

fn read(payload: &[u8]) -> Option<ServerHealth> {
    let Answer { server, data } = serde_json::from_slice(payload).ok()?;
    Some(ServerHealth {
        server: server.name,
        fault: data?.error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_itself_is_read_with_its_name() {
        let well = br#"{"server":{"name":"n1","id":"X"},"data":{"status":"ok","status_code":200}}"#;
        let told = read(well).expect("an answer");
        assert_eq!((told.server.as_str(), told.fault), ("n1", None));
        let ill = br#"{"server":{"name":"n2"},"data":{"status":"unavailable","error":"JetStream is not current with the meta leader"}}"#;
        let told = read(ill).expect("an answer");
        assert_eq!(told.server, "n2");
        assert!(told.fault.is_some_and(|fault| fault.contains("meta leader")));
        for unclear in [&b""[..], br#"{"server":{"name":"n3"}}"#, b"[]"] {
            assert_eq!(read(unclear), None);
        }
    }
}
