//! PostgreSQL, and the connections of this replica to it.

use std::time::Duration;

use vpnmanager_runtime::metrics::{Catalogue, Gauge, Gauges, Histogram};

/// How long somebody waited for a connection, in seconds.
const WAITS: &[f64] = &[0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0];

/// The connections of a pool at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSample {
    /// The pool.
    pub pool: &'static str,
    /// Connections that somebody uses.
    pub used: u32,
    /// Connections that nobody uses.
    pub idle: u32,
    /// The most that there may be.
    pub most: u32,
}

/// The figures of the database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DatabaseMetrics {
    up: Gauge,
    connections: Gauges<2>,
    most: Gauges<1>,
    waits: Histogram,
}

impl DatabaseMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            up: catalogue.gauge(
                "vpnmanager_database_up",
                "1 where PostgreSQL answered within 3 s when it was asked for figures",
            ),
            connections: catalogue.gauges(
                "vpnmanager_database_connections",
                "Connections to PostgreSQL, by pool and by whether somebody uses them",
                ["pool", "state"],
            ),
            most: catalogue.gauges(
                "vpnmanager_database_connections_max",
                "The most connections of a pool",
                ["pool"],
            ),
            waits: catalogue.histogram(
                "vpnmanager_database_wait_seconds",
                "How long the figures had to wait for a connection: what everybody waits for when all are used",
                WAITS,
            ),
        }
    }

    /// Whether it answers.
    pub fn answers(&self, answers: bool) {
        self.up.set_flag(answers);
    }

    /// Somebody waited so long for a connection.
    pub fn waited(&self, wait: Duration) {
        self.waits.observe(wait.as_secs_f64());
    }

    /// The connections of a pool.
    pub fn show(&self, sample: PoolSample) {
        let pool = sample.pool;
        self.connections.set([pool, "used"], f64::from(sample.used));
        self.connections.set([pool, "idle"], f64::from(sample.idle));
        self.most.set([pool], f64::from(sample.most));
    }
}
