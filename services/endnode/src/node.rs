//! Who this node is, and how its parts wake each other.

use std::time::Instant;

use chrono::Utc;
use vpnmanager_nats::{
    events::{Event, EventKind},
    ids::{AgentInstance, EventId, NodeId},
};
use vpnmanager_runtime::reconcile::Wake;

/// This node in this run of the agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name.
    pub id: NodeId,
    /// This run.
    pub instance: AgentInstance,
    /// When this run began.
    pub started: Instant,
    /// What shortens the waits of the tasks.
    pub wakes: Wakes,
}

/// One handle for each task that can be woken.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// A user may expire earlier than the expiry task knows.
    pub expiry: Wake,
    /// An event waits for the bus.
    pub events: Wake,
    /// A session waits to be reported.
    pub session_reports: Wake,
    /// An intent waits for the bus.
    pub intents: Wake,
    /// The allow-list may differ from the journal.
    pub allow_list: Wake,
    /// The commands may have stopped coming: ask management.
    pub sync: Wake,
    /// Management asks for the handshake at once.
    pub prompt: Wake,
    /// The bus has another store: open the consumer again.
    pub reopen: Wake,
    /// Something changed that management should hear of: send a heartbeat.
    pub heartbeat: Wake,
}

impl Node {
    /// A node at the start of a run.
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            instance: AgentInstance::new(),
            started: Instant::now(),
            wakes: Wakes::default(),
        }
    }

    /// The release of this agent.
    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// An event of this node at this moment.
    pub fn event(&self, kind: EventKind) -> Event {
        Event {
            id: EventId::new(),
            node: self.id.clone(),
            instance: self.instance,
            at: Utc::now(),
            kind,
        }
    }
}
