//! What this replica does: creates, publications, acks, sessions, refusals.

use std::time::Duration;

use vpnmanager_runtime::metrics::{Catalogue, Counter, Counters, Histogram, Histograms};

/// From the publication of a command until its ack is recorded, in seconds.
const LATENCIES: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// No batch is larger than the last of these.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What shares a transaction or a round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// Users that are created.
    Creates,
    /// Commands that are published.
    Publications,
    /// Acks and events that are recorded.
    Reports,
}

impl Batch {
    fn as_str(self) -> &'static str {
        match self {
            Self::Creates => "creates",
            Self::Publications => "publications",
            Self::Reports => "reports",
        }
    }
}

/// The figures of the work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkMetrics {
    ack_latency: Histogram,
    batches: Histograms<1>,
    publications: Counters<1>,
    acks: Counters<1>,
    sessions_begun: Counter,
    sessions_cut: Counter,
    wrong_keys: Counter,
    trail_rewritten: Counter,
}

impl WorkMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            ack_latency: catalogue.histogram(
                "vpnmanager_ack_latency_seconds",
                "From the publication of a command until this replica recorded its ack",
                LATENCIES,
            ),
            batches: catalogue.histograms(
                "vpnmanager_batch_size",
                "How many creates, publications or reports this replica did at once",
                ["batch"],
                SIZES,
            ),
            publications: catalogue.counters(
                "vpnmanager_publications_total",
                "Commands that this replica published, by result",
                ["result"],
            ),
            acks: catalogue.counters(
                "vpnmanager_acks_total",
                "Acks that this replica recorded, by outcome",
                ["outcome"],
            ),
            sessions_begun: catalogue.counter(
                "vpnmanager_sessions_begun_total",
                "Logins that this replica took into the history",
            ),
            sessions_cut: catalogue.counter(
                "vpnmanager_sessions_cut_total",
                "Sessions of which a node reported to this replica that it cut them",
            ),
            wrong_keys: catalogue.counter(
                "vpnmanager_wrong_keys_total",
                "Keys, join tokens and links that are not valid and that somebody presented to this replica",
            ),
            trail_rewritten: catalogue.counter(
                "vpnmanager_audit_rewritten_total",
                "How often this replica found that the audit trail is not what it signed",
            ),
        }
    }

    /// So many were done at once.
    pub fn batch(&self, batch: Batch, size: usize) {
        self.batches
            .observe([batch.as_str()], f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
    }

    /// Commands are in the stream, or could not be published.
    pub fn published(&self, stored: usize, failed: usize) {
        for (result, count) in [("stored", stored), ("failed", failed)] {
            self.publications
                .add([result], f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }

    /// An ack with this outcome is recorded. `latency` is that of its command, where this is the first answer to it.
    pub fn acked(&self, outcome: &str, latency: Option<Duration>) {
        self.acks.inc([outcome]);
        if let Some(latency) = latency {
            self.ack_latency.observe(latency.as_secs_f64());
        }
    }

    /// So many sessions began.
    pub fn begun(&self, sessions: u64) {
        self.sessions_begun.add(sessions);
    }

    /// So many sessions were cut.
    pub fn cut(&self, sessions: usize) {
        self.sessions_cut.add(sessions as u64);
    }

    /// Somebody presented a key that is not valid.
    pub fn refused(&self) {
        self.wrong_keys.inc();
    }

    /// The audit trail is not what this replica signed.
    pub fn trail_rewritten(&self) {
        self.trail_rewritten.inc();
    }
}
