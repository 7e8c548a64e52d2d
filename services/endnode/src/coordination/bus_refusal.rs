//! Why the bus refuses this node.

use tokio::sync::watch;

/// Why the bus refuses this node, as far as is known. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct BusRefusal {
    reason: watch::Sender<Option<String>>,
}

impl BusRefusal {
    /// The reason in words; `None` while the bus lets this node in or cannot be reached.
    pub fn reason(&self) -> Option<String> {
        self.reason.borrow().clone()
    }

    /// Notes what the last try showed.
    pub fn set(&self, reason: Option<String>) {
        self.reason.send_replace(reason);
    }
}
