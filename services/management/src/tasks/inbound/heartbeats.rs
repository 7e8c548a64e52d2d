//! Records heartbeats: the newest one of each run of each node, all that have arrived in one transaction.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::Utc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{envelope::Envelope, heartbeats::Heartbeat, ids::NodeId};
use vpnmanager_runtime::{contain::contain, error_chain::chain, log_limit::LogLimit};

use crate::{
    app::App,
    ops::{
        nodes::{
            received::{Received, Speaker},
            record_heartbeats::record_heartbeats,
        },
        sqlstate::meaning,
    },
};

/// What is contained here, in the log.
const HANDLING: &str = "recording heartbeats";
/// The most runs of one node in one transaction: the agent, one that was just restarted, and clones.
const MOST_RUNS: usize = 4;

static UNRECORDED: LogLimit = LogLimit::lines("recording a heartbeat failed", 5);

/// The heartbeats that are not recorded yet. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Mailbox {
    contents: Arc<Mutex<Contents>>,
    filled: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Contents {
    waiting: HashMap<NodeId, Vec<Received>>,
    /// When the oldest of those that wait arrived.
    waiting_since: Option<Instant>,
    /// When the oldest of those arrived that are being recorded.
    recording_since: Option<Instant>,
}

impl Mailbox {
    /// Keeps a heartbeat in place of an older one of the same run. False if the node has too many runs.
    pub(super) fn put(&self, received: Received) -> bool {
        let mut contents = self.lock();
        contents.waiting_since.get_or_insert_with(Instant::now);
        let runs = contents.waiting.entry(received.heartbeat.node.clone()).or_default();
        let instance = received.heartbeat.instance;
        let has_room = runs.len() < MOST_RUNS;
        match runs.iter_mut().find(|held| held.heartbeat.instance == instance) {
            Some(held) => *held = received,
            None if has_room => runs.push(received),
            None => return false,
        }
        self.filled.notify_one();
        true
    }

    /// How long the oldest heartbeat has been waiting for its record.
    pub(super) fn behind(&self) -> Duration {
        let contents = self.lock();
        let oldest = contents.recording_since.or(contents.waiting_since);
        oldest.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// Waits for heartbeats, and takes all of them. They count as unrecorded until [`Self::recorded`].
    async fn take(&self) -> Vec<Received> {
        self.filled.notified().await;
        let mut contents = self.lock();
        contents.recording_since = contents.waiting_since.take();
        let taken = std::mem::take(&mut contents.waiting);
        taken.into_values().flatten().collect()
    }

    fn recorded(&self) {
        self.lock().recording_since = None;
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn run(app: App, mailbox: Mailbox, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            received = mailbox.take() => {
                if !received.is_empty() {
                    record(&app, received).await;
                }
                mailbox.recorded();
            }
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Records heartbeats. They are not tried again, because the next one comes in five seconds; until then the silence of a node means
/// nothing. If the database rejects one of them, each is recorded on its own, so that the others are not lost.
async fn record(app: &App, mut received: Vec<Received>) {
    for one in &mut received {
        one.at = app.clock.of(one.at);
        app.figures.fleet.heard(&one.heartbeat);
    }
    match contain(HANDLING, record_heartbeats(&app.db, app.config.health, &received)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) if meaning(&error).is_about_data() => record_each(app, received).await,
        Ok(Err(error)) => {
            app.hearing.missed_until(Utc::now());
            warn!(error = app.reach.explain_any(&error), "Recording heartbeats failed");
        }
        Err(_panicked) => record_each(app, received).await,
    }
}

async fn record_each(app: &App, received: Vec<Received>) {
    for one in received {
        let node = one.heartbeat.node.clone();
        match contain(HANDLING, record_heartbeats(&app.db, app.config.health, &[one])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if let Some(times) = UNRECORDED.admit() {
                    warn!(times, node.id = %node, error = %chain(&error), "Recording a heartbeat failed");
                }
            }
            Err(_panicked) => debug!(node.id = %node, "Dropping a heartbeat"),
        }
    }
}

/// Reads a heartbeat of this node, which arrived now.
pub(super) fn read(node: &NodeId, payload: &[u8]) -> Option<Received> {
    match Envelope::<Heartbeat>::decode(payload) {
        Ok(envelope) if envelope.body.node == *node => Some(Received {
            heartbeat: envelope.body,
            at: Utc::now(),
            by: Speaker::Agent,
        }),
        Ok(_) => {
            debug!(node.id = %node, "Dropping a heartbeat that names another node");
            None
        }
        Err(error) => {
            debug!(node.id = %node, error = %chain(&error), "Dropping a heartbeat that cannot be decoded");
            None
        }
    }
}
