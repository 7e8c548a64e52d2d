//! The tunnel of a managed server, now and as it changes.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use super::{
    process::{Phase, ProcessStatus},
    tunnel::{RunningTunnel, Tunnel},
};

/// The tunnel of a managed server. OpenVPN may still run with an older configuration than the one wanted.
#[derive(Debug, Clone)]
pub struct ManagedTunnel {
    wanted: Arc<Tunnel>,
    process: watch::Receiver<ProcessStatus>,
}

impl ManagedTunnel {
    pub(crate) fn new(wanted: Tunnel, process: watch::Receiver<ProcessStatus>) -> Self {
        Self {
            wanted: Arc::new(wanted),
            process,
        }
    }

    /// As the next start makes it.
    pub fn wanted(&self) -> &Tunnel {
        &self.wanted
    }

    /// As it is. Where no OpenVPN runs, as the next start makes it; `None` for one that runs and whose tunnel cannot be told.
    pub fn current(&mut self) -> Option<Tunnel> {
        let current = self.process.borrow_and_update().running_tunnel();
        self.told(current)
    }

    /// That of an OpenVPN that runs; `None` where none does, and where it cannot be told.
    pub fn running(&self) -> Option<Tunnel> {
        let (phase, running) = {
            let status = self.process.borrow();
            (status.phase, status.running_tunnel())
        };
        match phase {
            Phase::Running { .. } | Phase::Stopping => self.told(running),
            Phase::Stopped | Phase::Starting | Phase::Failed => None,
        }
    }

    /// The process id of an OpenVPN that runs; `None` also of one that is being stopped.
    pub fn pid(&self) -> Option<u32> {
        match self.process.borrow().phase {
            Phase::Running { pid, .. } => Some(pid),
            Phase::Stopped | Phase::Starting | Phase::Stopping | Phase::Failed => None,
        }
    }

    /// Whether an OpenVPN has it now, also one that is being stopped.
    pub fn is_running(&self) -> bool {
        matches!(self.process.borrow().phase, Phase::Running { .. } | Phase::Stopping)
    }

    fn told(&self, tunnel: RunningTunnel) -> Option<Tunnel> {
        match tunnel {
            RunningTunnel::AsWanted => Some((*self.wanted).clone()),
            RunningTunnel::Other(tunnel) => Some(tunnel),
            RunningTunnel::Unknown => None,
        }
    }

    /// Returns when it may have changed since [`Self::current`] was asked.
    pub async fn changed(&mut self) {
        if self.process.changed().await.is_err() {
            // Nobody looks after the process any more: the agent is ending.
            std::future::pending().await
        }
    }

    /// Returns once it is known whether an OpenVPN of an earlier run of the agent is there, or after `within`.
    pub async fn looked_for(&mut self, within: Duration) {
        let is_known = |status: &ProcessStatus| status.looked || status.phase != Phase::Stopped;
        _ = timeout(within, self.process.wait_for(is_known)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn tunnel(device: &str) -> Tunnel {
        Tunnel {
            device: device.parse().expect("a name"),
            network: "10.8.0.0/16".parse().expect("a network"),
            network6: None,
            is_split: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_runs_counts_and_where_nothing_runs_what_is_wanted() {
        let (status, watched) = watch::channel(ProcessStatus::default());
        let mut managed = ManagedTunnel::new(tunnel("vpn-udp1194"), watched);
        managed.looked_for(Duration::from_millis(10)).await;
        assert_eq!(managed.current(), Some(tunnel("vpn-udp1194")));

        let running = Phase::Running {
            pid: 1,
            since: Instant::now(),
        };
        assert_eq!(managed.running(), None);
        let (wanted, other) = (Some(tunnel("vpn-udp1194")), Some(tunnel("tun0")));
        for (phase, found, expected, expected_running) in [
            (running, RunningTunnel::Other(tunnel("tun0")), &other, &other),
            (running, RunningTunnel::Unknown, &None, &None),
            (Phase::Failed, RunningTunnel::Unknown, &wanted, &None),
            (running, RunningTunnel::AsWanted, &wanted, &wanted),
        ] {
            status.send_modify(|status| {
                status.phase = phase;
                status.tunnel = found.clone();
            });
            managed.changed().await;
            managed.looked_for(Duration::from_secs(3600)).await;
            assert_eq!(&managed.running(), expected_running, "{found:?}");
            assert_eq!(&managed.current(), expected, "{found:?}");
        }
    }
}
