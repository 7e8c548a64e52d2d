//! Whether management drains this node.

use tokio::sync::watch;

/// Whether management drains this node, and how fast. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Draining {
    pace: watch::Sender<Option<u32>>,
}

impl Draining {
    /// As the journal knows it: clients to move in one second, or `None`.
    pub fn new(pace: Option<u32>) -> Self {
        Self {
            pace: watch::Sender::new(pace),
        }
    }

    /// What management wants from here on.
    pub fn set(&self, pace: Option<u32>) {
        self.pace
            .send_if_modified(|known| std::mem::replace(known, pace) != pace);
    }

    /// Clients to move in one second; `None` while they may stay.
    pub fn pace(&self) -> Option<u32> {
        *self.pace.borrow()
    }

    /// The pace, now and as it changes.
    pub fn watch(&self) -> watch::Receiver<Option<u32>> {
        self.pace.subscribe()
    }
}
