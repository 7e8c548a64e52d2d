//! The bus, and what waits on it.

use std::time::Duration;

use vpnmanager_nats::topology::Waiting;
use vpnmanager_runtime::metrics::{Catalogue, Gauge, Gauges};

/// The figures of the bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BusMetrics {
    connected: Gauge,
    stores: Gauge,
    answer: Gauge,
    undelivered: Gauges<1>,
    unsettled: Gauges<1>,
    reports: Gauge,
}

/// What was found on the bus.
#[derive(Debug, Clone)]
pub struct BusSample {
    /// The commands that wait for each node.
    pub commands: Vec<Waiting>,
    /// Reports that nobody has recorded.
    pub reports: u64,
    /// How long finding that out took.
    pub took: Duration,
}

impl BusMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            connected: catalogue.gauge(
                "vpnmanager_bus_connected",
                "1 where this replica is connected to the bus",
            ),
            stores: catalogue.gauge("vpnmanager_bus_stores", "1 where the bus stores commands"),
            answer: catalogue.gauge(
                "vpnmanager_bus_answer_seconds",
                "How long the bus took the last time to say what waits on it",
            ),
            undelivered: catalogue.gauges(
                "vpnmanager_bus_commands_undelivered",
                "Commands on the bus that were not delivered to the node",
                ["node"],
            ),
            unsettled: catalogue.gauges(
                "vpnmanager_bus_commands_unsettled",
                "Commands that were delivered to the node and that it has not settled",
                ["node"],
            ),
            reports: catalogue.gauge(
                "vpnmanager_bus_reports_waiting",
                "Acks and events of nodes on the bus that management has not recorded",
            ),
        }
    }

    /// Whether it is connected, and stores commands.
    pub fn is(&self, connected: bool, stores: bool) {
        self.connected.set_flag(connected);
        self.stores.set_flag(stores);
    }

    /// What was found on it; nothing where it did not answer.
    pub fn show(&self, sample: Option<&BusSample>) {
        self.undelivered.clear();
        self.unsettled.clear();
        let Some(sample) = sample else { return };
        self.answer.set(sample.took.as_secs_f64());
        self.reports.set(sample.reports as f64);
        for Waiting {
            node,
            undelivered,
            unsettled,
        } in &sample.commands
        {
            self.undelivered.set([node.as_str()], *undelivered as f64);
            self.unsettled.set([node.as_str()], *unsettled as f64);
        }
    }
}
