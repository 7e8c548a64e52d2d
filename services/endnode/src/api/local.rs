//! What the operations work on: the parts of the node, as soon as it has enrolled.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_nats::connection::State;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_openapi::problem::ApiError;

use crate::{coordination::enrolling::Enrolling, journal::JournalError, metrics::figures::Figures, shared::Shared};

/// What is said of a node that has enrolled and whose parts are not there yet.
pub(super) const JUST_STARTED: &str = "the agent has just started: it reads what it holds";

/// How long a caller waits for management.
const PATIENCE: Duration = Duration::from_secs(5);

/// The node behind the API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalNode {
    /// Its name.
    pub id: NodeId,
    /// How far its enrolment is.
    pub enrolling: Enrolling,
    /// Its figures for monitoring.
    pub figures: Figures,
    shared: Arc<OnceLock<Shared>>,
}

impl LocalNode {
    /// A node whose parts are not there yet. `has_enrolled`: an earlier run enrolled it.
    pub fn new(id: NodeId, has_enrolled: bool) -> Self {
        Self {
            id,
            enrolling: Enrolling::new(has_enrolled),
            figures: Figures::new(),
            shared: Arc::default(),
        }
    }

    /// These are the node's parts.
    pub fn enrolled(&self, shared: Shared) {
        // Happens once in a process; a second time would be about the same node.
        let _already = self.shared.set(shared);
    }

    /// The parts of the node, if it has enrolled.
    pub(crate) fn shared_if_enrolled(&self) -> Option<&Shared> {
        self.shared.get()
    }

    pub(super) fn shared(&self) -> Result<&Shared, ApiError> {
        self.shared.get().ok_or_else(|| {
            let why = self.enrolling.text();
            ApiError::unavailable(why.unwrap_or_else(|| JUST_STARTED.to_owned()))
        })
    }
}

/// How long a caller waits for management: not at all while the bus is not connected.
pub(super) fn patience(shared: &Shared) -> Duration {
    match shared.bus.connection_state() {
        State::Connected => PATIENCE,
        State::Disconnected | State::Pending => Duration::ZERO,
    }
}

/// A failed journal is an internal error of the node (500).
pub(super) fn internal(error: JournalError) -> ApiError {
    ApiError::internal(error)
}
