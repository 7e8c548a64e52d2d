//! Heartbeats: core NATS messages, sent without waiting for an answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_nats::{envelope::Envelope, heartbeats::Heartbeat, subjects};
use vpnmanager_runtime::{backoff::jittered, error_chain::chain, log_limit::LogLimit};

use crate::{
    coordination::reporting::Report,
    journal::{JournalError, Snapshot, Tally},
    shared::Shared,
};

static UNREAD: LogLimit = LogLimit::new("the journal could not be read for a heartbeat");

/// What is particular to the heartbeats of a node.
#[derive(Debug, Clone)]
pub struct HeartbeatSettings {
    /// Between two heartbeats.
    interval: Duration,
}

impl HeartbeatSettings {
    /// A heartbeat each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval }
    }
}

/// Sends heartbeats until stopped.
pub async fn run(shared: Shared, settings: HeartbeatSettings, stop: CancellationToken) -> anyhow::Result<()> {
    let commits = shared.journal.commits();
    let mut last: Option<(u64, Journaled)> = None;
    while !stop.is_cancelled() {
        // Taken before the journal is read: management compares the digest only when `at` is later than the node's last ack.
        let at = Utc::now();
        let commit = *commits.borrow();
        let known = last.as_ref().filter(|(known, _)| *known == commit);
        let fault = match read(&shared, known.map(|(_, journaled)| journaled.tally)).await {
            Ok(journaled) => {
                last = Some((commit, journaled));
                None
            }
            // What it held is said again, with the fault: a node that falls silent would count as lost while it serves.
            Err(error) => Some(unreadable(&error)),
        };
        if let Some((_, journaled)) = &last {
            beat(&shared, at, (journaled, fault)).await;
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(settings.interval)) => {}
            () = shared.node.wakes.heartbeat.woken() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// What a heartbeat says of the journal.
#[derive(Debug)]
struct Journaled {
    snapshot: Snapshot,
    queued_intents: u64,
    tally: Tally,
}

/// Reads it; `known` is the tally of a journal that did not change since it was taken.
async fn read(shared: &Shared, known: Option<Tally>) -> Result<Journaled, JournalError> {
    let read = shared.journal.read(move |records| {
        let tally = match known {
            Some(tally) => tally,
            None => records.tally()?,
        };
        Ok(Journaled {
            snapshot: records.snapshot()?,
            queued_intents: records.count_queued_intents()?,
            tally,
        })
    });
    read.await
}

/// What to do about a journal that cannot be read.
fn unreadable(error: &JournalError) -> String {
    let error = chain(error);
    if let Some(times) = UNREAD.admit() {
        warn!(error = %error, times, "The journal cannot be read");
    }
    format!(
        "the journal cannot be read ({error}): restart the agent, which sets a damaged journal aside and gets everything again; if that does not help, \
         see the disk (`dmesg`)"
    )
}

/// Sends one.
async fn beat(shared: &Shared, at: DateTime<Utc>, (journaled, fault): (&Journaled, Option<String>)) {
    let Journaled {
        snapshot,
        queued_intents,
        tally,
    } = journaled;
    let server = shared.server_health().await;
    let heartbeat = Heartbeat {
        node: shared.node.id.clone(),
        instance: shared.node.instance,
        at,
        agent_version: shared.node.version().to_owned(),
        uptime_seconds: shared.node.started.elapsed().as_secs(),
        openvpn: server.clone().into(),
        users: tally.users,
        digest: tally.digest,
        last_sequence: snapshot.last_sequence,
        complete: snapshot.complete,
        queued_intents: *queued_intents,
        draining: snapshot.drain_pace.is_some(),
        disk_free_bytes: shared.disk.free(),
        fault: fault
            .or_else(|| shared.fault(&server))
            .or_else(|| shared.lack_of_users())
            .or_else(|| shared.reporting.fault()),
        certificate_expires_at: shared.certificate.in_use_until(server.oldest_since),
        network: shared.network.applied(),
        groups: shared.definitions.applied(),
    };
    // Not queued while the bus is away: an old heartbeat would be worthless.
    if shared.bus.connection_state() == async_nats::connection::State::Connected {
        let attempt = shared.reporting.attempt();
        let sent = shared
            .bus
            .publish(subjects::health(&shared.node.id), Envelope::new(heartbeat).encode())
            .await;
        match sent {
            Ok(()) => {
                shared.reporting.taken(Report::Heartbeats);
                shared.figures.work.beat();
            }
            Err(error) => shared.reporting.failed(Report::Heartbeats, attempt, &error),
        }
    }
}
