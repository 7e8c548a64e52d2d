//! The tunnels of all servers that an agent runs, now and as they change.

use std::{sync::Arc, time::Duration};

use futures_util::future::{pending, select_all};
use tokio::time::Instant;

use super::{managed_tunnel::ManagedTunnel, tunnel::Tunnel};
use crate::interface::InterfaceName;

/// The tunnels of the servers that an agent runs: one for each listener of the node, in the order of the listeners.
#[derive(Debug, Clone)]
pub struct ManagedTunnels {
    tunnels: Vec<ManagedTunnel>,
    wanted: Arc<[Tunnel]>,
}

impl ManagedTunnels {
    /// Of these, of which there is at least one.
    pub fn new(tunnels: Vec<ManagedTunnel>) -> Self {
        Self {
            wanted: tunnels.iter().map(|tunnel| tunnel.wanted().clone()).collect(),
            tunnels,
        }
    }

    /// Each by itself.
    pub fn each(&self) -> &[ManagedTunnel] {
        &self.tunnels
    }

    /// As the next starts make them.
    pub fn wanted(&self) -> &[Tunnel] {
        &self.wanted
    }

    /// As they are. Where no OpenVPN runs, as the next start makes it; `None` where one runs whose tunnel cannot be told.
    pub fn current(&mut self) -> Option<Vec<Tunnel>> {
        // All of them: also the changes of those behind one that cannot be told are seen.
        let current: Vec<Option<Tunnel>> = self.tunnels.iter_mut().map(ManagedTunnel::current).collect();
        current.into_iter().collect()
    }

    /// Those of the OpenVPNs that run; `None` where one does not, and where its tunnel cannot be told.
    pub fn running(&self) -> Vec<Option<Tunnel>> {
        self.tunnels.iter().map(ManagedTunnel::running).collect()
    }

    /// The devices of [`Self::running`], and those of [`Self::wanted`], which may be others. Each is there once.
    pub fn devices(&self) -> Vec<InterfaceName> {
        let wanted: Vec<InterfaceName> = self.wanted.iter().map(|tunnel| tunnel.device.clone()).collect();
        let running = self.running().into_iter().flatten().map(|tunnel| tunnel.device);
        let mut devices: Vec<InterfaceName> = running.filter(|device| !wanted.contains(device)).collect();
        devices.extend(wanted);
        devices
    }

    /// Whether an OpenVPN has one of them now, also one that is being stopped.
    pub fn is_running(&self) -> bool {
        self.tunnels.iter().any(ManagedTunnel::is_running)
    }

    /// Returns when one may have changed since [`Self::current`] was asked.
    pub async fn changed(&mut self) {
        if self.tunnels.is_empty() {
            return pending().await;
        }
        let changes = self.tunnels.iter_mut().map(|tunnel| Box::pin(tunnel.changed()));
        _ = select_all(changes).await;
    }

    /// Returns once it is known of each listener whether an OpenVPN of an earlier run of the agent is there, or after `within`.
    pub async fn looked_for(&mut self, within: Duration) {
        let end = Instant::now() + within;
        for tunnel in &mut self.tunnels {
            tunnel.looked_for(end.saturating_duration_since(Instant::now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::watch, time::timeout};

    use super::*;
    use crate::openvpn::{
        process::{Phase, ProcessStatus},
        tunnel::RunningTunnel,
    };

    const WITHIN: Duration = Duration::from_secs(1);

    fn tunnel(device: &str) -> Tunnel {
        Tunnel {
            device: device.parse().expect("a name"),
            network: "10.8.0.0/17".parse().expect("a network"),
            network6: None,
            is_split: true,
        }
    }

    /// Those of a node with two listeners, and their processes.
    fn two() -> (ManagedTunnels, [watch::Sender<ProcessStatus>; 2]) {
        let processes = [ProcessStatus::default(), ProcessStatus::default()].map(watch::Sender::new);
        let [udp, tcp] = &processes;
        let managed = ManagedTunnels::new(vec![
            ManagedTunnel::new(tunnel("vpn-udp1194"), udp.subscribe()),
            ManagedTunnel::new(tunnel("vpn-tcp443"), tcp.subscribe()),
        ]);
        (managed, processes)
    }

    fn runs(process: &watch::Sender<ProcessStatus>, tunnel: RunningTunnel) {
        process.send_modify(|status| {
            status.phase = Phase::Running {
                pid: 1,
                since: Instant::now(),
            };
            status.tunnel = tunnel;
        });
    }

    async fn has_changed(managed: &mut ManagedTunnels) -> bool {
        timeout(WITHIN, managed.changed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_told_in_the_order_of_listeners_and_all_or_none() {
        let (mut managed, [udp, tcp]) = two();
        let wanted = [tunnel("vpn-udp1194"), tunnel("vpn-tcp443")];
        assert_eq!(managed.wanted(), wanted);
        assert_eq!(managed.current().as_deref(), Some(wanted.as_slice()));
        assert!(!managed.is_running());

        runs(&tcp, RunningTunnel::Other(tunnel("tun0")));
        assert!(managed.is_running());
        assert_eq!(managed.running(), [None, Some(tunnel("tun0"))]);
        let devices: Vec<String> = managed.devices().iter().map(ToString::to_string).collect();
        assert_eq!(devices, ["tun0", "vpn-udp1194", "vpn-tcp443"]);
        assert_eq!(managed.current(), Some(vec![tunnel("vpn-udp1194"), tunnel("tun0")]));

        runs(&udp, RunningTunnel::Unknown);
        assert_eq!(managed.running(), [None, Some(tunnel("tun0"))]);
        assert_eq!(managed.current(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_each_is_heard_of_once() {
        let (mut managed, processes) = two();
        managed.current();
        assert!(!has_changed(&mut managed).await);
        for process in &processes {
            runs(process, RunningTunnel::AsWanted);
            assert!(has_changed(&mut managed).await);
            assert!(!has_changed(&mut managed).await);
        }
        for process in &processes {
            runs(process, RunningTunnel::Unknown);
        }
        assert_eq!(managed.current(), None);
        assert!(!has_changed(&mut managed).await, "both were seen");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_never_looked_for_holds_up_no_longer_than_it_may() {
        let (mut managed, [udp, tcp]) = two();
        let began = Instant::now();
        managed.looked_for(WITHIN).await;
        let waited = began.elapsed();
        assert!(waited >= WITHIN && waited < WITHIN * 2, "{waited:?}");

        for process in [&udp, &tcp] {
            process.send_modify(|status| status.looked = true);
        }
        let began = Instant::now();
        managed.looked_for(WITHIN).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
