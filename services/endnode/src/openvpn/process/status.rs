//! The state of the process.

use tokio::time::Instant;

use crate::openvpn::{room::Room, tunnel::RunningTunnel};

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
    /// It failed, and has neither run well since nor been ended in good order.
    pub is_failing: bool,
    /// It runs with another configuration than the one wanted: the next start applies it.
    pub outdated_conf: bool,
    /// The room for clients by the configuration that it runs with, where that is another one and can be read.
    pub outdated_room: Option<Room>,
    /// The tunnel that it has, as far as that is another one.
    pub tunnel: RunningTunnel,
    /// Whether it was looked for at all since the agent started.
    pub looked: bool,
    /// Whether another OpenVPN was found in its place, at its management socket.
    pub other_runs: bool,
}

impl ProcessStatus {
    /// It died or would not start, for this reason.
    pub(super) fn fail(&mut self, reason: String) {
        self.phase = Phase::Failed;
        self.restarts = self.restarts.saturating_add(1);
        self.last_failure = reason;
        self.is_failing = true;
    }

    /// It was ended because that was wanted.
    pub(super) fn end_in_good_order(&mut self, phase: Phase) {
        self.phase = phase;
        self.is_failing = false;
    }

    /// [`Self::outdated_room`] of a process that runs.
    pub fn running_room(&self) -> Option<Room> {
        match self.phase {
            Phase::Running { .. } | Phase::Stopping => self.outdated_room,
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
            is_failing: false,
            outdated_conf: false,
            outdated_room: None,
            tunnel: RunningTunnel::AsWanted,
            looked: false,
            other_runs: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_behind_it_once_it_was_ended_in_good_order_and_stays_counted() {
        let mut status = ProcessStatus::default();
        status.fail("it died".to_owned());
        assert_eq!(
            (status.phase, status.restarts, status.is_failing),
            (Phase::Failed, 1, true)
        );
        status.phase = Phase::Starting;
        assert!(status.is_failing, "it is tried again");
        for phase in [Phase::Stopped, Phase::Starting] {
            status.is_failing = true;
            status.end_in_good_order(phase);
            assert_eq!((status.phase, status.restarts, status.is_failing), (phase, 1, false));
            assert_eq!(status.last_failure, "it died");
        }
        status.fail("it died again".to_owned());
        assert_eq!((status.restarts, status.is_failing), (2, true));
    }
}
