//! What the operations work on: the agent, as soon as the node has enrolled.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_nats::{Client, connection::State};
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use crate::{
    apply::Applier,
    journal::{Journal, JournalError},
    node::Node,
    tasks::{bus_watch::BusRefusal, drain::Draining, intents::IntentWaiters, issue::IssueQueue, serving::Readiness},
    vpn::Vpn,
};

/// How long a caller waits for management.
const PATIENCE: Duration = Duration::from_secs(5);

/// The node behind the API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalNode {
    /// Its name.
    pub id: NodeId,
    agent: Arc<OnceLock<Agent>>,
}

/// The parts of an enrolled node that the API uses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The node.
    pub node: Node,
    /// What it holds.
    pub journal: Journal,
    /// Changes access.
    pub applier: Applier,
    /// The server.
    pub vpn: Vpn,
    /// Whether it serves.
    pub readiness: Readiness,
    /// Whether its clients are moved away.
    pub draining: Draining,
    /// Who waits for management.
    pub waiters: IntentWaiters,
    /// Makes profiles.
    pub issue: IssueQueue,
    /// The connection to the bus.
    pub bus: Client,
    /// Why the bus refuses this node, if it does.
    pub bus_refusal: BusRefusal,
}

impl LocalNode {
    /// A node that has not enrolled yet.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            agent: Arc::default(),
        }
    }

    /// It has.
    pub fn enrolled(&self, agent: Agent) {
        // Happens once in a process; a second time would be about the same node.
        let _already = self.agent.set(agent);
    }

    /// The agent, if the node has enrolled.
    pub fn agent_if_enrolled(&self) -> Option<&Agent> {
        self.agent.get()
    }

    pub(super) fn agent(&self) -> Result<&Agent, ApiError> {
        self.agent
            .get()
            .ok_or_else(|| ApiError::unavailable("this node has not enrolled yet"))
    }
}

impl Agent {
    /// How long a caller waits for management: not at all while nobody could be asked.
    pub(super) fn patience(&self) -> Duration {
        match self.bus.connection_state() {
            State::Connected => PATIENCE,
            State::Disconnected | State::Pending => Duration::ZERO,
        }
    }
}

/// The journal's errors are the node's own affair.
pub(super) fn internal(error: JournalError) -> ApiError {
    ApiError::internal(error)
}
