//! The wish to start the agent anew, within its process.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio_util::sync::CancellationToken;
use vpnmanager_runtime::tasks::Tasks;

/// Ends this run of the agent so that another one begins with what was saved since. OpenVPN and its sessions stay. Cheap to clone.
#[derive(Debug, Clone)]
pub struct NewStart {
    wanted: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl NewStart {
    /// Not wanted yet.
    pub fn of(tasks: &Tasks) -> Self {
        Self {
            wanted: Arc::default(),
            stop: tasks.token(),
        }
    }

    /// Asks everything to stop, and to start again then.
    pub fn begin(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// Whether somebody asked for it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}
