//! Nodes, and where users are placed.

mod choosing;
mod standing;

use chrono::TimeDelta;
use vpnmanager_nats::commands::Protocol;

use super::*;

fn node(name: &str) -> NodeId {
    name.parse().expect("a valid id")
}

/// Open, healthy and in sync.
pub(crate) fn server(name: &str) -> server::Model {
    let now = Utc::now();
    server::Model {
        id: 0,
        name: node(name),
        host: "192.0.2.1".to_owned(),
        port: 8081,
        username: None,
        password: None,
        enabled: true,
        last_sync: Some(now),
        server_type: "endnode".to_owned(),
        management_url: None,
        created_at: now,
        pool: DEFAULT_POOL.to_owned(),
        public_host: "vpn.example.org".parse().expect("a host"),
        public_port: 1194,
        public_protocol: Protocol::Udp,
        listeners: "udp:1194".parse().expect("a listener"),
        agent_version: None,
        bus_public_key: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
            .parse()
            .expect("a public key"),
        bus_key_since: now,
        state: NodeState::Healthy,
        state_reason: None,
        state_since: now,
        last_seen: Some(now),
        heard_since: Some(now - TimeDelta::days(1)),
        emptied_at: None,
        journal_lost_at: None,
        lost_since: None,
        draining: false,
        capacity: None,
        resync_since: None,
        prompt_since: None,
        over_budget_at: None,
        over_budget: None,
        cut_off_until: None,
        enrolled_as: None,
        asked_pool: None,
        leaving_since: None,
        leaving_for: None,
        endpoint_changed_at: None,
    }
}

fn lost(name: &str, since: DateTime<Utc>) -> server::Model {
    server::Model {
        state: NodeState::Lost,
        lost_since: Some(since),
        ..server(name)
    }
}

/// Nodes of which nothing was heard of OpenVPN.
fn fleet(servers: &[server::Model]) -> Fleet {
    Fleet::new(servers.to_vec(), HashMap::new())
}

/// The same, and what their last heartbeats say.
fn fleet_with(servers: &[server::Model], openvpn: &[(&str, OpenvpnState)]) -> Fleet {
    let openvpn = openvpn.iter().map(|(name, state)| (node(name), *state));
    Fleet::new(servers.to_vec(), openvpn.collect())
}

fn placed(server: &str, role: Role) -> placement::Model {
    placement::Model {
        id: 0,
        user_id: 1,
        server_id: node(server),
        role,
        wanted_present: true,
        wanted_revision: 1,
        applied_revision: 1,
        applied_at: None,
        outcome: None,
        error: None,
        published_revision: 1,
        published_sequence: 1,
        published_at: None,
        attempts: 0,
        lease_until: DateTime::UNIX_EPOCH,
        urgent_since: None,
        asked_at: None,
        digest: 0,
        created_at: Utc::now(),
    }
}
