//! The VPN server of the node.

use vpnmanager_runtime::metrics::{Catalogue, Counter, Counters, Gauge, Gauges};

use crate::backend::{BackendHealth, BackendState};

/// The figures of the server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerMetrics {
    states: Gauges<1>,
    up: Gauge,
    sessions: Gauge,
    addresses: Gauge,
    restarts: Counter,
    bytes: Counters<1>,
    logins: Counter,
    cuts: Counter,
}

impl ServerMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            states: catalogue.gauges(
                "vpnmanager_agent_openvpn_state",
                "1 for the state of the VPN server: up, starting, down, stopped or absent",
                ["state"],
            ),
            up: catalogue.gauge(
                "vpnmanager_agent_openvpn_up",
                "1 where the VPN server answers and accepts clients",
            ),
            sessions: catalogue.gauge("vpnmanager_agent_sessions", "Connected clients"),
            addresses: catalogue.gauge("vpnmanager_agent_addresses", "Clients that fit at once"),
            restarts: catalogue.counter(
                "vpnmanager_agent_openvpn_restarts_total",
                "How often the agent had to start the VPN server again",
            ),
            bytes: catalogue.counters(
                "vpnmanager_agent_bytes_total",
                "Bytes received from clients and sent to them since the VPN server started",
                ["direction"],
            ),
            logins: catalogue.counter("vpnmanager_agent_logins_total", "Logins since the agent started"),
            cuts: catalogue.counter(
                "vpnmanager_agent_sessions_cut_total",
                "Sessions that the agent ended, those included that a drain moved to other nodes",
            ),
        }
    }

    /// How the server is.
    pub fn show(&self, health: &BackendHealth) {
        self.states.clear();
        self.states.set([word(health.state)], 1.0);
        self.up.set_flag(health.state == BackendState::Up);
        self.sessions.set(f64::from(health.sessions));
        self.addresses.set(f64::from(health.capacity));
        self.restarts.follow(u64::from(health.restarts));
        self.bytes.clear();
        self.bytes.add(["received"], health.bytes_in as f64);
        self.bytes.add(["sent"], health.bytes_out as f64);
    }

    /// How many logged in, and how many sessions were ended.
    pub fn counted(&self, logins: u64, cuts: u64) {
        self.logins.follow(logins);
        self.cuts.follow(cuts);
    }
}

fn word(state: BackendState) -> &'static str {
    match state {
        BackendState::Up => "up",
        BackendState::Starting => "starting",
        BackendState::Down => "down",
        BackendState::Stopped => "stopped",
        BackendState::Absent => "absent",
    }
}
