//! Heartbeats: core messages, which nobody waits for.

use std::{path::PathBuf, time::Duration};

use async_nats::Client;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use vpnmanager_nats::{
    envelope::Envelope,
    heartbeats::{Heartbeat, OpenvpnHealth, OpenvpnState},
    subjects,
};
use vpnmanager_runtime::backoff::jittered;

use crate::{
    backend::{BackendHealth, BackendState, VpnBackend as _},
    journal::{Journal, JournalError, Tally},
    node::Node,
    vpn::Vpn,
};

/// What the task needs.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    /// This node.
    pub node: Node,
    /// What is held.
    pub journal: Journal,
    /// The server.
    pub vpn: Vpn,
    /// The way to management.
    pub bus: Client,
    /// Where the journal lies, for the free space.
    pub state_dir: PathBuf,
    /// End of the server's certificate.
    pub certificate_expires_at: Option<DateTime<Utc>>,
    /// Between two heartbeats.
    pub interval: Duration,
}

/// Runs until stopped.
pub async fn run(heartbeats: Heartbeats, stop: CancellationToken) -> anyhow::Result<()> {
    let commits = heartbeats.journal.commits();
    let mut tallied: Option<(u64, Tally)> = None;
    while !stop.is_cancelled() {
        // Before the journal is read: what is acked later may not be counted in this heartbeat.
        let at = Utc::now();
        let commit = *commits.borrow();
        let known = tallied.filter(|(known, _)| *known == commit).map(|(_, tally)| tally);
        match heartbeats.beat(at, known).await {
            Ok(tally) => tallied = Some((commit, tally)),
            Err(error) => debug!(error = %error, "No heartbeat this time"),
        }
        tokio::select! {
            () = tokio::time::sleep(jittered(heartbeats.interval)) => {}
            () = heartbeats.node.wakes.heartbeat.woken() => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

impl Heartbeats {
    /// Sends one; the tally of a journal that did not change is taken as it was.
    async fn beat(&self, at: DateTime<Utc>, known: Option<Tally>) -> Result<Tally, JournalError> {
        let (snapshot, queued_intents, tally) = self
            .journal
            .read(move |records| {
                let tally = match known {
                    Some(tally) => tally,
                    None => records.tally()?,
                };
                Ok((records.snapshot()?, records.count_queued_intents()?, tally))
            })
            .await?;
        let heartbeat = Heartbeat {
            node: self.node.id.clone(),
            instance: self.node.instance,
            at,
            agent_version: self.node.version().to_owned(),
            uptime_seconds: self.node.started.elapsed().as_secs(),
            openvpn: openvpn_health(self.vpn.health().await),
            users: tally.users,
            digest: tally.digest,
            last_sequence: snapshot.last_sequence,
            complete: snapshot.complete,
            queued_intents,
            draining: snapshot.drain_pace.is_some(),
            disk_free_bytes: rustix::fs::statvfs(&self.state_dir)
                .ok()
                .map(|disk| disk.f_bavail * disk.f_frsize),
            certificate_expires_at: self.certificate_expires_at,
        };
        // A heartbeat that is not sent while the bus is away is no loss: an old one would say nothing.
        if self.bus.connection_state() == async_nats::connection::State::Connected {
            let sent = self
                .bus
                .publish(subjects::health(&self.node.id), Envelope::new(heartbeat).encode())
                .await;
            if let Err(error) = sent {
                debug!(error = %error, "A heartbeat was not sent");
            }
        }
        Ok(tally)
    }
}

/// The server's health in the words of the wire.
pub(crate) fn openvpn_health(health: BackendHealth) -> OpenvpnHealth {
    OpenvpnHealth {
        state: match health.state {
            BackendState::Up => OpenvpnState::Up,
            BackendState::Down => OpenvpnState::Down,
            BackendState::Starting | BackendState::Stopped => OpenvpnState::Waiting,
            BackendState::Absent => OpenvpnState::Absent,
        },
        pid: health.pid,
        version: health.version,
        sessions: health.sessions,
        capacity: health.capacity,
        bytes_in: health.bytes_in,
        bytes_out: health.bytes_out,
        detail: Some(health.detail).filter(|detail| !detail.is_empty()),
    }
}

/// The end of a certificate, if it can be read.
pub fn certificate_end(pem: &str) -> Option<DateTime<Utc>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}
