//! What a rollout does next.

mod draining;
mod restarting;
mod turns;

use vpnmanager_nats::{ids::AgentInstance, sync::StateDigest};

use super::*;
use crate::domain::placement::tests::server;

fn id(name: &str) -> NodeId {
    name.parse().expect("a valid id")
}

fn rollout(drain: bool) -> rollout::Model {
    rollout::Model {
        id: 1,
        pool: id("default"),
        pool_id: 1,
        state: RolloutState::Running,
        drain,
        drain_for_seconds: 600,
        actor: "key:test".to_owned(),
        ip_address: None,
        request_id: None,
        asked_at: Utc::now(),
        stopped_by: None,
        ended_at: None,
        detail: None,
    }
}

fn node(name: &str, state: RolloutNodeState, since: DateTime<Utc>) -> rollout_node::Model {
    rollout_node::Model {
        rollout_id: 1,
        server_id: id(name),
        state,
        since,
        sessions_left: None,
        detail: None,
        drained: false,
        held_up_since: None,
        openvpn_pid: Some(7),
        asked_at: None,
        begun_at: None,
    }
}

fn heartbeat(name: &str, pid: i64, at: DateTime<Utc>) -> health_status::Model {
    health_status::Model {
        server_id: id(name),
        instance: AgentInstance::new(),
        received_at: at,
        reported_at: at,
        clock_skew_ms: 0,
        openvpn_state: OpenvpnState::Up,
        openvpn_pid: Some(pid),
        sessions: 3,
        capacity: 100,
        bytes_in: 0,
        bytes_out: 0,
        users: 0,
        digest: StateDigest::default(),
        last_sequence: 0,
        complete: true,
        queued_intents: 0,
        draining: false,
        detail: None,
        fault: None,
        drift_since: None,
        late_since: None,
        network_pool: None,
        network_revision: None,
        groups_revision: None,
    }
}

/// What comes next in a pool that is there.
fn next_of(
    rollout: &rollout::Model,
    nodes: &[rollout_node::Model],
    servers: Vec<server::Model>,
    heartbeats: Vec<health_status::Model>,
) -> Step {
    next_with(rollout, nodes, servers, heartbeats, &Besides::default())
}

/// What else is known.
#[derive(Default)]
struct Besides {
    told: Option<Told>,
    runs: HashMap<NodeId, DateTime<Utc>>,
}

fn next_with(
    rollout: &rollout::Model,
    nodes: &[rollout_node::Model],
    servers: Vec<server::Model>,
    heartbeats: Vec<health_status::Model>,
    besides: &Besides,
) -> Step {
    let openvpn = heartbeats
        .iter()
        .map(|health| (health.server_id.clone(), health.openvpn_state));
    let fleet = Fleet::new(servers, openvpn.collect());
    let heard = heartbeats.into_iter();
    let health: HashMap<NodeId, health_status::Model> =
        heard.map(|health| (health.server_id.clone(), health)).collect();
    next(&Scene {
        rollout,
        nodes,
        has_pool: true,
        fleet: &fleet,
        health: &health,
        runs: &besides.runs,
        told: besides.told.as_ref(),
        now: Utc::now(),
    })
}

fn stopped() -> rollout::Model {
    rollout::Model {
        stopped_by: Some("key:test".to_owned()),
        ..rollout(true)
    }
}

fn drained(name: &str) -> server::Model {
    server::Model {
        draining: true,
        ..server(name)
    }
}

fn in_state(name: &str, state: NodeState) -> server::Model {
    server::Model { state, ..server(name) }
}

fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

/// Why it is left out, waits for its turn, or failed.
fn why(step: Step) -> String {
    match step {
        Step::Node(_, NodeStep::Skip(why) | NodeStep::HoldUp(why) | NodeStep::TakeBack(why) | NodeStep::Fail(why))
        | Step::Fail(why) => why,
        other @ (Step::Node(
            _,
            NodeStep::Wait { .. }
            | NodeStep::AskWhether
            | NodeStep::Drain
            | NodeStep::Restart { .. }
            | NodeStep::AskAgain { .. }
            | NodeStep::Finish,
        )
        | Step::End(_)) => panic!("{other:?}"),
    }
}

fn of(name: &str, step: NodeStep) -> Step {
    Step::Node(id(name), step)
}
