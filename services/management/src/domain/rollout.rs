//! What a rollout does next: it restarts OpenVPN on the nodes of a pool, one node after another. Pure: the caller passes the rows and the time.
//!
//! It never takes a node out of a pool that already lacks one: a fault of the new OpenVPN, or of anything else, costs one node and not the pool.

mod restarting;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use vpnmanager_entities::{
    health_status,
    rollout::{self, RolloutState},
    rollout_node::{self, RolloutNodeState},
    server::{self, NodeState},
};
use vpnmanager_nats::{heartbeats::OpenvpnState, ids::NodeId};

use super::placement::{Fleet, takes_users};

/// How long the next node waits for the others of its pool, and for its own agent.
const HELD_UP_FOR: TimeDelta = TimeDelta::minutes(10);
const TAKEN_BACK: &str = "an operator took it back";
const OF_BEFORE: &str = "the OpenVPN of before still runs";

/// A rollout that goes on, and the fleet, at one moment.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The rollout.
    pub rollout: &'a rollout::Model,
    /// Its nodes, in the order of their names.
    pub nodes: &'a [rollout_node::Model],
    /// Whether its pool is there.
    pub has_pool: bool,
    /// All nodes of the fleet.
    pub fleet: &'a Fleet,
    /// The last heartbeats of the nodes of the pool.
    pub health: &'a HashMap<NodeId, health_status::Model>,
    /// When management first heard of the runs of the agents that sent these.
    pub runs: &'a HashMap<NodeId, DateTime<Utc>>,
    /// What an agent said a moment ago, if one was asked.
    pub told: Option<&'a Told>,
    /// The time, by the clock of the database.
    pub now: DateTime<Utc>,
}

/// What the agent of a node said to [`NodeStep::AskWhether`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The node.
    pub node: NodeId,
    /// Whether it would restart OpenVPN.
    pub willing: Willing,
}

/// What an agent says when it is asked to restart OpenVPN, or whether it would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Willing {
    /// It has begun, or it would.
    Yes,
    /// It does not do it, for this reason.
    No(String),
    /// Nothing that can be used: it is asked again.
    Silent,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This, with this node.
    Node(NodeId, NodeStep),
    /// The rollout cannot go on, for this reason.
    Fail(String),
    /// The rollout has ended.
    End(RolloutState),
}

/// What is to be done with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeStep {
    /// Nothing but to note how many sessions are left.
    Wait {
        /// As its last heartbeat says.
        sessions_left: Option<i32>,
    },
    /// It cannot begin, for this reason.
    HoldUp(String),
    /// It is left out, for this reason.
    Skip(String),
    /// Its agent is to be asked whether it would restart OpenVPN. Nobody is moved for one that would not.
    AskWhether,
    /// Its clients are to be moved to other nodes.
    Drain,
    /// They may stay: its drain is to be ended, and it waits for its turn again, for this reason.
    TakeBack(String),
    /// Its agent is to be asked to restart this OpenVPN, for the first time.
    Restart {
        /// As its last heartbeat says.
        openvpn_pid: Option<i64>,
    },
    /// Its agent is to be asked once more to restart this one.
    AskAgain {
        /// As its last heartbeat with OpenVPN up says, or as it was before.
        openvpn_pid: Option<i64>,
    },
    /// It serves again.
    Finish,
    /// It does not, for this reason, and the rollout ends.
    Fail(String),
}

/// What a rollout does next.
pub fn next(scene: &Scene<'_>) -> Step {
    let of = |node: &rollout_node::Model, step| Step::Node(node.server_id.clone(), step);
    let is_stopped = scene.rollout.stopped_by.is_some();
    for node in scene.nodes {
        match node.state {
            RolloutNodeState::Draining if is_stopped => {
                let why = "the rollout was stopped before its restart".to_owned();
                return of(node, NodeStep::Skip(why));
            }
            RolloutNodeState::Draining => return of(node, scene.of_draining(node)),
            RolloutNodeState::Restarting => return of(node, scene.of_restarting(node)),
            RolloutNodeState::Waiting
            | RolloutNodeState::Done
            | RolloutNodeState::Skipped
            | RolloutNodeState::Failed => {}
        }
    }
    if is_stopped {
        return Step::End(RolloutState::Stopped);
    }
    if !scene.has_pool {
        return Step::Fail("the pool was deleted".to_owned());
    }
    let is_waiting = |node: &&rollout_node::Model| node.state == RolloutNodeState::Waiting;
    match scene.nodes.iter().find(is_waiting) {
        Some(node) => scene.of_waiting(node),
        None => Step::End(RolloutState::Done),
    }
}

/// Why a node serves nobody whom a rollout could disturb; `None`: it serves, as far as is known.
pub fn out_of_service(fleet: &Fleet, server: &server::Model) -> Option<String> {
    if server.is_deregistered() {
        return Some("it was deregistered".to_owned());
    }
    if server.leaving_since.is_some() {
        return Some("it moves to another pool".to_owned());
    }
    if !server.enabled {
        return Some("it is disabled".to_owned());
    }
    if server.draining {
        return Some("it is drained".to_owned());
    }
    match server.state {
        NodeState::Enrolled => Some("it was never heard".to_owned()),
        NodeState::Stale | NodeState::Lost => Some(format!("it is {}", server.state.as_str())),
        NodeState::Healthy | NodeState::Degraded => {
            let absent = "it runs no OpenVPN (OPENVPN_MODE=none)";
            fleet.runs_none(&server.name).then(|| absent.to_owned())
        }
    }
}

impl Scene<'_> {
    /// A node whose turn comes: left out, held up, or begun.
    fn of_waiting(&self, node: &rollout_node::Model) -> Step {
        let of = |step| Step::Node(node.server_id.clone(), step);
        let server = match self.member(&node.server_id) {
            Ok(server) => server,
            Err(gone) => return of(NodeStep::Skip(gone.to_owned())),
        };
        if let Some(why) = out_of_service(self.fleet, server) {
            return of(NodeStep::Skip(why));
        }
        if let Some(why) = self.holds_up(server) {
            return self.held_up(node, why);
        }
        if !self.rollout.drain {
            return of(self.restart(node));
        }
        let told = self.told.filter(|told| told.node == node.server_id);
        match told.map(|told| &told.willing) {
            None => of(NodeStep::AskWhether),
            Some(Willing::Yes) => of(NodeStep::Drain),
            Some(Willing::No(why)) => of(NodeStep::Skip(why.clone())),
            Some(Willing::Silent) => self.held_up(node, format!("the agent of {} does not answer", node.server_id)),
        }
    }

    /// A node whose turn it is, and that cannot begin for this reason.
    fn held_up(&self, node: &rollout_node::Model, why: String) -> Step {
        let is_over = node.held_up_since.is_some_and(|since| self.now - since >= HELD_UP_FOR);
        match is_over {
            true => Step::Fail(format!(
                "{} waited for its turn for {} minutes: {why}. See to that, and start the rollout again",
                node.server_id,
                HELD_UP_FOR.num_minutes()
            )),
            false => Step::Node(node.server_id.clone(), NodeStep::HoldUp(why)),
        }
    }

    /// A node that this rollout drains.
    fn of_draining(&self, node: &rollout_node::Model) -> NodeStep {
        let server = match self.member(&node.server_id) {
            Ok(server) => server,
            Err(gone) => return NodeStep::Skip(gone.to_owned()),
        };
        if !server.draining {
            return NodeStep::Skip(TAKEN_BACK.to_owned());
        }
        if server.state == NodeState::Lost {
            return NodeStep::Skip("it was lost while it drained".to_owned());
        }
        if let Some(why) = self.lost_another(server).or_else(|| self.no_receiver(server)) {
            return NodeStep::TakeBack(why);
        }
        // One that was on its way before the drain counts sessions that are still to be moved, and an OpenVPN that does not answer counts none.
        let health = self.health.get(&node.server_id);
        let counts = |health: &&health_status::Model| {
            health.draining && health.received_at > node.since && lacks(health, None).is_none()
        };
        let sessions_left = health.filter(counts).map(|health| health.sessions);
        let drain_for = TimeDelta::seconds(self.rollout.drain_for_seconds.into());
        if sessions_left == Some(0) || self.now - node.since >= drain_for {
            return self.restart(node);
        }
        NodeStep::Wait { sessions_left }
    }

    fn restart(&self, node: &rollout_node::Model) -> NodeStep {
        let health = self.health.get(&node.server_id);
        NodeStep::Restart {
            openvpn_pid: health.and_then(|health| health.openvpn_pid),
        }
    }

    /// The node while it is in the pool, or why it is not.
    fn member(&self, node: &NodeId) -> Result<&server::Model, &'static str> {
        let found = self.fleet.find(node).filter(|server| !server.is_deregistered());
        let server = found.ok_or("it was deregistered")?;
        match server.pool == self.rollout.pool.as_str() && server.leaving_since.is_none() {
            true => Ok(server),
            false => Err("it moves to another pool"),
        }
    }

    /// Why the node may not be taken out of the pool at this moment.
    fn holds_up(&self, next: &server::Model) -> Option<String> {
        let lack = self.others(next).find_map(|server| self.lack_of(server));
        let lack = lack.or_else(|| self.own_lack(next)).or_else(|| self.still_drains(next));
        let nowhere = || self.rollout.drain.then(|| self.no_receiver(next)).flatten();
        lack.or_else(nowhere)
    }

    /// The other nodes of its pool of which something is expected: operators did not take them out themselves, and they run OpenVPN.
    fn others<'b>(&'b self, of: &'b server::Model) -> impl Iterator<Item = &'b server::Model> {
        let in_pool = move |server: &&server::Model| server.pool == of.pool && server.name != of.name;
        let others = self.fleet.servers().iter().filter(in_pool);
        others.filter(move |server| takes_users(server) && !self.fleet.runs_none(&server.name))
    }

    /// What keeps another node from taking clients as it should.
    fn lack_of(&self, server: &server::Model) -> Option<String> {
        match server.state {
            NodeState::Degraded | NodeState::Stale | NodeState::Lost => {
                Some(format!("{} is {}", server.name, server.state.as_str()))
            }
            NodeState::Enrolled | NodeState::Healthy => self.still_drains(server),
        }
    }

    /// What the node would lack after its restart too, and would be left drained for. It may be nearly full, with the clients of those before it: its
    /// drain ends that.
    fn own_lack(&self, server: &server::Model) -> Option<String> {
        let lack = lacks(self.health.get(&server.name)?, None)?;
        Some(format!("{} is degraded: {lack}", server.name))
    }

    fn still_drains(&self, server: &server::Model) -> Option<String> {
        let name = &server.name;
        let drains = self.health.get(name).is_some_and(|health| health.draining);
        drains.then(|| format!("{name} has not ended its drain yet"))
    }

    /// That another node was lost while this one drained. One that is degraded is no reason: the clients of this one may make it nearly full.
    fn lost_another(&self, drained: &server::Model) -> Option<String> {
        let silent = self.others(drained).find(|server| match server.state {
            NodeState::Stale | NodeState::Lost => true,
            NodeState::Enrolled | NodeState::Healthy | NodeState::Degraded => false,
        });
        silent.map(|server| format!("{} is {}", server.name, server.state.as_str()))
    }

    fn no_receiver(&self, leaving: &server::Model) -> Option<String> {
        let nowhere = "no other server of the pool could take its clients";
        (!self.fleet.has_others(leaving)).then(|| nowhere.to_owned())
    }
}

/// What a node lacks by this heartbeat, and whether the OpenVPN still runs there that was to end, if one was.
fn lacks(health: &health_status::Model, ended_pid: Option<i64>) -> Option<String> {
    match health.openvpn_state {
        OpenvpnState::Up => {}
        OpenvpnState::Down | OpenvpnState::Waiting | OpenvpnState::Absent => {
            let detail = health.detail.as_deref().unwrap_or("without a reason");
            return Some(format!("OpenVPN is {} ({detail})", health.openvpn_state));
        }
    }
    if is_of_before(health, ended_pid) {
        return Some(OF_BEFORE.to_owned());
    }
    health.fault.clone()
}

fn is_of_before(health: &health_status::Model, ended_pid: Option<i64>) -> bool {
    ended_pid.is_some() && health.openvpn_pid == ended_pid
}

#[cfg(test)]
mod tests;
