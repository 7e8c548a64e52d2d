//! The way to management.

use std::time::Duration;

use vpnmanager_runtime::metrics::{Catalogue, Gauge};

/// The figures of the way to management. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BusMetrics {
    connected: Gauge,
    in_sync: Gauge,
    reporting: Gauge,
    unanswered: Gauge,
    unsettled: Gauge,
}

/// The way to management at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusSample {
    /// Whether the bus is connected.
    pub connected: bool,
    /// Whether the node had applied everything at its last handshake.
    pub in_sync: bool,
    /// Whether the bus takes what the node reports.
    pub reporting: bool,
    /// For how long management has answered no handshake.
    pub unanswered: Duration,
    /// Commands that came and are not settled: their acks are not stored yet.
    pub unsettled: usize,
}

impl BusMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            connected: catalogue.gauge("vpnmanager_agent_bus_connected", "1 where the bus is connected"),
            in_sync: catalogue.gauge(
                "vpnmanager_agent_in_sync",
                "1 where the node had applied everything at its last handshake with management",
            ),
            reporting: catalogue.gauge(
                "vpnmanager_agent_bus_takes_reports",
                "1 where the bus takes what the node reports",
            ),
            unanswered: catalogue.gauge(
                "vpnmanager_agent_management_silence_seconds",
                "For how long management has answered no handshake",
            ),
            unsettled: catalogue.gauge(
                "vpnmanager_agent_acks_waiting",
                "Commands that came and whose acks the bus does not hold yet",
            ),
        }
    }

    /// How it is.
    pub fn show(&self, sample: BusSample) {
        self.connected.set_flag(sample.connected);
        self.in_sync.set_flag(sample.in_sync);
        self.reporting.set_flag(sample.reporting);
        self.unanswered.set(sample.unanswered.as_secs_f64());
        self.unsettled.set(sample.unsettled as f64);
    }
}
