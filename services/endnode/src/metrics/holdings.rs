//! What the node holds, and the disk that it is on.

use chrono::{DateTime, Utc};
use vpnmanager_runtime::metrics::{Catalogue, Gauge};

/// What the journal holds at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Users.
    pub users: u64,
    /// Credentials that are let in.
    pub let_in: usize,
    /// Local requests that wait for management.
    pub queued_intents: u64,
}

/// The figures of what is held. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HoldingMetrics {
    users: Gauge,
    let_in: Gauge,
    queued_intents: Gauge,
    journal_bytes: Gauge,
    journal_ok: Gauge,
    disk_free: Gauge,
    certificate: Gauge,
}

impl HoldingMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            users: catalogue.gauge("vpnmanager_agent_users", "Users that the node holds"),
            let_in: catalogue.gauge(
                "vpnmanager_agent_allow_list_entries",
                "Credentials that the node lets in",
            ),
            queued_intents: catalogue.gauge(
                "vpnmanager_agent_local_requests_waiting",
                "Requests of the local API that wait for management",
            ),
            journal_bytes: catalogue.gauge("vpnmanager_agent_journal_bytes", "Size of the journal"),
            journal_ok: catalogue.gauge(
                "vpnmanager_agent_journal_ok",
                "1 where the journal was read, and its last write succeeded",
            ),
            disk_free: catalogue.gauge(
                "vpnmanager_agent_disk_free_bytes",
                "Free bytes on the disk of STATE_DIR",
            ),
            certificate: catalogue.gauge(
                "vpnmanager_agent_certificate_days_left",
                "Days until the certificate ends that the VPN server uses",
            ),
        }
    }

    /// What the journal holds; `None`: it could not be read.
    pub fn journal(&self, held: Option<Held>, bytes: u64, is_written: bool) {
        self.journal_ok.set_flag(held.is_some() && is_written);
        self.journal_bytes.set(bytes as f64);
        if let Some(held) = held {
            self.users.set(held.users as f64);
            self.let_in.set(held.let_in as f64);
            self.queued_intents.set(held.queued_intents as f64);
        }
    }

    /// The room on the disk.
    pub fn disk(&self, free: Option<u64>) {
        if let Some(free) = free {
            self.disk_free.set(free as f64);
        }
    }

    /// The certificate of the server ends then.
    pub fn certificate(&self, end: DateTime<Utc>, now: DateTime<Utc>) {
        self.certificate.set((end - now).num_seconds() as f64 / 86_400.0);
    }
}
