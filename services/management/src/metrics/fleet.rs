//! The nodes: states, clients, traffic, what waits for them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use sea_orm::Iterable as _;
use vpnmanager_entities::server::NodeState;
use vpnmanager_nats::{heartbeats::Heartbeat, ids::NodeId};
use vpnmanager_runtime::metrics::{Catalogue, Counters, Gauges};

use super::certificates::days_until;

/// A node as the database has it.
#[derive(Debug, Clone)]
pub struct NodeSample {
    /// Its name.
    pub name: NodeId,
    /// Its pool.
    pub pool: String,
    /// Its state.
    pub state: NodeState,
    /// When it was heard last.
    pub last_seen: Option<DateTime<Utc>>,
    /// What its last heartbeat said.
    pub heard: Option<HeardSample>,
    /// Placements that it has not applied.
    pub pending: i64,
    /// When the oldest of them was published.
    pub oldest_pending_at: Option<DateTime<Utc>>,
}

/// What the last heartbeat of a node said.
#[derive(Debug, Clone, Copy)]
pub struct HeardSample {
    /// Its clients.
    pub sessions: i32,
    /// The addresses that it has for clients.
    pub capacity: i32,
    /// Users that it holds.
    pub users: i64,
    /// Bytes received from clients since its server started.
    pub bytes_in: i64,
    /// Bytes sent to clients since its server started.
    pub bytes_out: i64,
}

/// What heartbeats say and no row keeps.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    disk_free: Option<u64>,
    certificate_ends: Option<DateTime<Utc>>,
}

/// The figures of the nodes. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct FleetMetrics {
    said: Arc<Mutex<HashMap<NodeId, Said>>>,
    nodes: Gauges<1>,
    state: Gauges<3>,
    silence: Gauges<1>,
    sessions: Gauges<1>,
    addresses: Gauges<1>,
    users: Gauges<1>,
    received: Counters<1>,
    sent: Counters<1>,
    disk_free: Gauges<1>,
    certificate: Gauges<1>,
    pending: Gauges<1>,
    oldest: Gauges<1>,
}

impl FleetMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        let mut of_node = |name, help| catalogue.gauges(name, help, ["node"]);
        let silence = of_node(
            "vpnmanager_node_silence_seconds",
            "How long ago the node was heard last",
        );
        let sessions = of_node("vpnmanager_node_sessions", "Clients of the node");
        let addresses = of_node(
            "vpnmanager_node_addresses",
            "Addresses that the node has for clients, each for one session",
        );
        let users = of_node("vpnmanager_node_users", "Users that the node holds");
        let disk_free = of_node(
            "vpnmanager_node_disk_free_bytes",
            "Free bytes on the disk of the node's journal, as this replica heard",
        );
        let certificate = of_node(
            "vpnmanager_node_certificate_days_left",
            "Days until the certificate of the node's VPN server ends, as this replica heard",
        );
        let pending = of_node(
            "vpnmanager_node_placements_pending",
            "Changes of users that the node has not acked",
        );
        let oldest = of_node(
            "vpnmanager_node_placements_oldest_seconds",
            "Since when the oldest of those has waited that was published last; a living node is sent them again after 60 s",
        );
        Self {
            said: Arc::default(),
            nodes: catalogue.gauges("vpnmanager_nodes", "Nodes by state", ["state"]),
            state: catalogue.gauges(
                "vpnmanager_node_state",
                "1 for the state that the node is in",
                ["node", "pool", "state"],
            ),
            received: catalogue.counters(
                "vpnmanager_node_received_bytes_total",
                "Bytes that the node's VPN server received from clients since it started",
                ["node"],
            ),
            sent: catalogue.counters(
                "vpnmanager_node_sent_bytes_total",
                "Bytes that the node's VPN server sent to clients since it started",
                ["node"],
            ),
            silence,
            sessions,
            addresses,
            users,
            disk_free,
            certificate,
            pending,
            oldest,
        }
    }

    /// A heartbeat came.
    pub fn heard(&self, heartbeat: &Heartbeat) {
        let said = Said {
            disk_free: heartbeat.disk_free_bytes,
            certificate_ends: heartbeat.certificate_expires_at,
        };
        self.said().insert(heartbeat.node.clone(), said);
    }

    /// Shows these nodes and no others.
    pub fn show(&self, nodes: &[NodeSample], now: DateTime<Utc>) {
        self.clear();
        let mut states: BTreeMap<&str, f64> = NodeState::iter().map(|state| (state.as_str(), 0.0)).collect();
        for node in nodes {
            *states.entry(node.state.as_str()).or_default() += 1.0;
            self.show_one(node, now);
        }
        for (state, nodes) in states {
            self.nodes.set([state], nodes);
        }
        self.show_said(nodes.iter().map(|node| &node.name).collect(), now);
    }

    fn show_one(&self, node: &NodeSample, now: DateTime<Utc>) {
        let name = node.name.as_str();
        self.state.set([name, &node.pool, node.state.as_str()], 1.0);
        self.pending.set([name], count(node.pending));
        self.oldest.set([name], age(node.oldest_pending_at, now).unwrap_or(0.0));
        if let Some(silence) = age(node.last_seen, now) {
            self.silence.set([name], silence);
        }
        if let Some(heard) = node.heard {
            self.sessions.set([name], f64::from(heard.sessions));
            self.addresses.set([name], f64::from(heard.capacity));
            self.users.set([name], count(heard.users));
            self.received.add([name], count(heard.bytes_in));
            self.sent.add([name], count(heard.bytes_out));
        }
    }

    fn show_said(&self, nodes: HashSet<&NodeId>, now: DateTime<Utc>) {
        let mut said = self.said();
        said.retain(|node, _| nodes.contains(node));
        for (node, said) in said.iter() {
            if let Some(free) = said.disk_free {
                self.disk_free.set([node.as_str()], free as f64);
            }
            if let Some(end) = said.certificate_ends {
                self.certificate.set([node.as_str()], days_until(end, now));
            }
        }
    }

    fn clear(&self) {
        self.nodes.clear();
        self.state.clear();
        for counters in [&self.received, &self.sent] {
            counters.clear();
        }
        for gauges in [
            &self.silence,
            &self.sessions,
            &self.addresses,
            &self.users,
            &self.disk_free,
            &self.certificate,
            &self.pending,
            &self.oldest,
        ] {
            gauges.clear();
        }
    }

    fn said(&self) -> MutexGuard<'_, HashMap<NodeId, Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(number: i64) -> f64 {
    number.max(0) as f64
}

/// Seconds since then.
fn age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<f64> {
    let age = now - since?;
    Some((age.num_milliseconds() as f64 / 1000.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn sample(name: &str, state: NodeState) -> NodeSample {
        NodeSample {
            name: name.parse().expect("a valid id"),
            pool: "default".to_owned(),
            state,
            last_seen: Some(DateTime::UNIX_EPOCH),
            heard: Some(HeardSample {
                sessions: 3,
                capacity: 250,
                users: 20,
                bytes_in: 1000,
                bytes_out: 2000,
            }),
            pending: 2,
            oldest_pending_at: Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(4)),
        }
    }

    #[test]
    fn a_node_is_shown_as_long_as_it_is_there() {
        let mut catalogue = Catalogue::default();
        let fleet = FleetMetrics::register(&mut catalogue);
        let exposed = catalogue.expose();
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(10);

        fleet.show(&[sample("n1", NodeState::Healthy), sample("n2", NodeState::Lost)], now);
        let text = exposed.text();
        for line in [
            "vpnmanager_nodes{state=\"healthy\"} 1.0",
            "vpnmanager_nodes{state=\"stale\"} 0.0",
            "vpnmanager_node_state{node=\"n2\",pool=\"default\",state=\"lost\"} 1.0",
            "vpnmanager_node_silence_seconds{node=\"n1\"} 10.0",
            "vpnmanager_node_placements_oldest_seconds{node=\"n1\"} 6.0",
            "vpnmanager_node_received_bytes_total{node=\"n1\"} 1000.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }

        fleet.show(&[sample("n1", NodeState::Healthy)], now);
        let text = exposed.text();
        assert!(!text.contains("n2"), "{text}");
        assert!(
            text.contains("vpnmanager_node_received_bytes_total{node=\"n1\"} 1000.0"),
            "{text}"
        );
    }
}
