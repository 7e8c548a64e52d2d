//! The state of the process.

use tokio::time::Instant;

use crate::openvpn::tunnel::RunningTunnel;

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not running, and not meant to.
    Stopped,
    /// Being started.
    Starting,
    /// Running.
    Running {
        /// Its process id.
        pid: u32,
        /// When the agent started or found it.
        since: Instant,
    },
    /// Being stopped.
    Stopping,
    /// It died or would not start; it is tried again soon.
    Failed,
}

/// The state of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Where it stands.
    pub phase: Phase,
    /// How often it had to be started again since the agent started.
    pub restarts: u32,
    /// Why it last failed, in words. Empty when it never did.
    pub last_failure: String,
    /// It runs with another configuration than the one wanted: the next start applies it.
    pub outdated_conf: bool,
    /// Clients that fit at once by the configuration that it runs with, where that is another one and can be read.
    pub outdated_capacity: Option<u32>,
    /// The tunnel that it has, as far as that is another one.
    pub tunnel: RunningTunnel,
    /// Whether it was looked for at all since the agent started.
    pub looked: bool,
}

impl ProcessStatus {
    /// [`Self::outdated_capacity`] of a process that runs.
    pub fn running_capacity(&self) -> Option<u32> {
        match self.phase {
            Phase::Running { .. } | Phase::Stopping => self.outdated_capacity,
            Phase::Stopped | Phase::Starting | Phase::Failed => None,
        }
    }

    /// [`Self::tunnel`] of a process that runs.
    pub fn running_tunnel(&self) -> RunningTunnel {
        match self.phase {
            Phase::Running { .. } | Phase::Stopping => self.tunnel.clone(),
            Phase::Stopped | Phase::Starting | Phase::Failed => RunningTunnel::AsWanted,
        }
    }
}

impl Default for ProcessStatus {
    fn default() -> Self {
        Self {
            phase: Phase::Stopped,
            restarts: 0,
            last_failure: String::new(),
            outdated_conf: false,
            outdated_capacity: None,
            tunnel: RunningTunnel::AsWanted,
            looked: false,
        }
    }
}
