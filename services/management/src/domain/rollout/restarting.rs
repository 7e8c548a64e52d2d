//! A node of a rollout whose OpenVPN restarts: asked for, begun, back.

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::{
    health_status, rollout_node,
    server::{self, NodeState},
};
use vpnmanager_nats::heartbeats::OpenvpnState;

use super::{NodeStep, OF_BEFORE, Scene, TAKEN_BACK, is_of_before, lacks};

/// How long an agent may take to say that it restarts OpenVPN.
const ANSWERS_WITHIN: TimeDelta = TimeDelta::minutes(2);
/// A request to restart OpenVPN takes less. It is sent again after this: nobody answered, or the replica died that was to record the answer.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(10);
/// What was asked longer ago says nothing of whether the agent would answer: nobody asked meanwhile.
const ASKED_LATELY: TimeDelta = TimeDelta::minutes(1);
/// How long the OpenVPN of one listener may take to stop and to start again. The agent waits for as long.
const BACK_WITHIN: TimeDelta = TimeDelta::minutes(1);
/// How long it may take until management hears of it.
const HEARD_WITHIN: TimeDelta = TimeDelta::minutes(1);
/// A heartbeat that comes so soon after an answer may have been sent before it.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(2);

impl Scene<'_> {
    /// A node whose agent is to restart OpenVPN.
    pub(super) fn of_restarting(&self, node: &rollout_node::Model) -> NodeStep {
        match (self.member(&node.server_id), node.begun_at) {
            (Err(gone), _) => NodeStep::Skip(gone.to_owned()),
            (Ok(server), None) => self.of_asked(node, server),
            (Ok(server), Some(begun_at)) => self.of_begun(node, server, begun_at),
        }
    }

    /// One whose agent has not said yet that it restarts OpenVPN.
    fn of_asked(&self, node: &rollout_node::Model, server: &server::Model) -> NodeStep {
        if node.drained && !server.draining {
            return NodeStep::Skip(TAKEN_BACK.to_owned());
        }
        let is_over = self.now - node.since >= ANSWERS_WITHIN;
        match node.asked_at.map(|at| self.now - at) {
            Some(ago) if ago < ASK_AGAIN => NodeStep::Wait { sessions_left: None },
            Some(ago) if is_over && ago < ASKED_LATELY => NodeStep::Fail(not_answered(node, server)),
            Some(_) | None => self.ask_again(node),
        }
    }

    /// One whose agent said that it restarts OpenVPN.
    fn of_begun(&self, node: &rollout_node::Model, server: &server::Model, begun_at: DateTime<Utc>) -> NodeStep {
        let wait = NodeStep::Wait { sessions_left: None };
        let within = back_within(server);
        let is_lost = server.state == NodeState::Lost && self.now - begun_at >= within;
        let health = self.health.get(&node.server_id);
        let Some(health) = health.filter(|health| health.received_at > begun_at) else {
            return match is_lost {
                true => NodeStep::Fail(not_back(node, server, "no heartbeat came since")),
                false => wait,
            };
        };
        let forgot = self.forgot(node, server, (health, begun_at));
        let Some(lack) = lacks(health, node.openvpn_pid).or_else(|| forgot.map(str::to_owned)) else {
            return NodeStep::Finish;
        };
        let is_asked = node.asked_at.is_some_and(|at| self.now - at < ASK_AGAIN);
        // Each answer begins the time anew, so there is an end to asking.
        if forgot.is_some() && !is_asked && begun_at - node.since < within {
            return self.ask_again(node);
        }
        // What was told within the time says nothing of what came after.
        match health.received_at - begun_at >= within || is_lost {
            true => NodeStep::Fail(not_back(node, server, &lack)),
            false => wait,
        }
    }

    /// How one sees that an agent does not know any more that it was to restart OpenVPN: it started anew itself, and knows nothing of it then.
    fn forgot(
        &self,
        node: &rollout_node::Model,
        server: &server::Model,
        (health, begun_at): (&health_status::Model, DateTime<Utc>),
    ) -> Option<&'static str> {
        // While a restart goes on OpenVPN is not up.
        match health.openvpn_state {
            OpenvpnState::Up => {}
            OpenvpnState::Down | OpenvpnState::Waiting | OpenvpnState::Absent => return None,
        }
        if is_of_before(health, node.openvpn_pid) && health.received_at - begun_at >= ON_ITS_WAY {
            return Some(OF_BEFORE);
        }
        // The process id is that of one of them.
        let run = self.runs.get(&node.server_id);
        let is_another = run.is_some_and(|first_heard| *first_heard > begun_at);
        (is_another && !server.listeners.is_one())
            .then_some("its agent started anew before all listeners were restarted")
    }

    fn ask_again(&self, node: &rollout_node::Model) -> NodeStep {
        let health = self.health.get(&node.server_id);
        let is_up = |health: &&health_status::Model| health.openvpn_state == OpenvpnState::Up;
        let runs = health.filter(is_up).and_then(|health| health.openvpn_pid);
        NodeStep::AskAgain {
            openvpn_pid: runs.or(node.openvpn_pid),
        }
    }
}

/// How long a node may take to serve again after its agent said that it restarts OpenVPN: with several listeners one is restarted after another.
fn back_within(server: &server::Model) -> TimeDelta {
    let each = server.listeners.iter().map(|_| BACK_WITHIN);
    each.fold(HEARD_WITHIN, |sum, one| sum + one)
}

fn not_back(node: &rollout_node::Model, server: &server::Model, lack: &str) -> String {
    let (id, minutes) = (&node.server_id, back_within(server).num_minutes());
    let after = afterwards(node, server);
    format!(
        "{id} did not come back within {minutes} minutes of its restart: {lack}. See its agent's log, and openvpn.log there. {after}"
    )
}

fn not_answered(node: &rollout_node::Model, server: &server::Model) -> String {
    let (id, minutes) = (&node.server_id, ANSWERS_WITHIN.num_minutes());
    let after = afterwards(node, server);
    format!(
        "{id} was not restarted, as far as is known: its agent did not answer within {minutes} minutes. See that it runs and reaches the bus. {after}"
    )
}

/// What is to be done with a node that failed, once that is mended.
fn afterwards(node: &rollout_node::Model, server: &server::Model) -> String {
    let id = &node.server_id;
    match node.drained && server.draining {
        true => {
            format!("It stays drained. Once it serves, POST /api/endnodes/{id}/undrain, and start the rollout again")
        }
        false => "Once it serves, start the rollout again".to_owned(),
    }
}
