//! Whether the bus stores commands, found out by storing one, and why it does not, as its servers say.

use std::time::Duration;

use async_nats::{Client, jetstream::context::PublishError};
use serde::Deserialize;

use crate::{subjects, topology::Topology};

/// How long a server may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(3);

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

#[derive(Deserialize)]
struct Answer {
    data: Option<Health>,
}

#[derive(Deserialize)]
struct Health {
    #[serde(default)]
    error: Option<String>,
}

/// What is wrong with the server that answers first, in its words; `None` when nothing is, or when no server answers. `system` is a user of
/// the system account.
pub async fn fault(system: &Client) -> Option<String> {
    let asked = system.request("$SYS.REQ.SERVER.PING.HEALTHZ", "".into());
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let answer: Answer = serde_json::from_slice(&answer.payload).ok()?;
    answer.data?.error
}
