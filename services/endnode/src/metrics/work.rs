//! What the agent does: commands, acks, heartbeats, refusals.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vpnmanager_nats::acks::Outcome;
use vpnmanager_runtime::metrics::{Catalogue, Counter, Counters, Gauge, Histogram};

/// From taking a batch of commands until the allow-list shows it, in seconds.
const SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// No batch is larger than the last of these.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 250.0];

/// The figures of the work. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct WorkMetrics {
    commands: Counters<1>,
    applying: Histogram,
    batches: Histogram,
    heartbeat_age: Gauge,
    last_heartbeat: Arc<Mutex<Instant>>,
    wrong_keys: Counter,
}

impl WorkMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            commands: catalogue.counters(
                "vpnmanager_agent_commands_total",
                "Commands whose ack the bus holds, by outcome",
                ["outcome"],
            ),
            applying: catalogue.histogram(
                "vpnmanager_agent_apply_seconds",
                "From taking a batch of commands until journal and allow-list show it",
                SECONDS,
            ),
            batches: catalogue.histogram(
                "vpnmanager_agent_batch_size",
                "Commands that were applied in one commit",
                SIZES,
            ),
            heartbeat_age: catalogue.gauge(
                "vpnmanager_agent_heartbeat_age_seconds",
                "How long ago the bus took a heartbeat, or the agent started",
            ),
            last_heartbeat: Arc::new(Mutex::new(Instant::now())),
            wrong_keys: catalogue.counter(
                "vpnmanager_wrong_keys_total",
                "Keys of the local API that are not valid and that somebody presented",
            ),
        }
    }

    /// A batch was applied.
    pub fn applied(&self, commands: usize, took: Duration) {
        self.batches.observe(commands as f64);
        self.applying.observe(took.as_secs_f64());
    }

    /// The bus holds an ack.
    pub fn acked(&self, outcome: &Outcome) {
        let word = match outcome {
            Outcome::Applied { .. } => "applied",
            Outcome::Superseded { .. } => "superseded",
            Outcome::Refused { .. } => "refused",
            Outcome::Failed { .. } => "failed",
        };
        self.commands.inc([word]);
    }

    /// The bus took a heartbeat.
    pub fn beat(&self) {
        *self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Somebody presented a wrong key.
    pub fn refused(&self) {
        self.wrong_keys.inc();
    }

    /// Shows what is counted by the clock.
    pub fn look(&self) {
        let last = *self.last_heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
        self.heartbeat_age.set(last.elapsed().as_secs_f64());
    }
}
