//! Which nodes have something that lives: a listener, or a source of reports.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vpnmanager_nats::ids::NodeId;

/// The marked nodes. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    nodes: Arc<Mutex<HashSet<NodeId>>>,
}

/// Marks a node until it is dropped.
#[derive(Debug)]
pub(super) struct Mark {
    marks: Marks,
    node: NodeId,
}

impl Marks {
    pub(super) fn contains(&self, node: &NodeId) -> bool {
        self.lock().contains(node)
    }

    pub(super) fn mark(&self, node: &NodeId) -> Mark {
        self.lock().insert(node.clone());
        Mark {
            marks: self.clone(),
            node: node.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<NodeId>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.marks.lock().remove(&self.node);
    }
}
