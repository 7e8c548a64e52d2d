//! What runs behind the OpenVPNs of a node.

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{
    control_socket::ControlTask,
    process::{LogKeeper, ProcessTask},
    restart::RestartTask,
};

/// What runs behind an [`OpenVpnBackend`](super::OpenVpnBackend).
#[derive(Debug)]
pub struct OpenVpnTask {
    /// One for each server.
    pub(super) controls: Vec<ControlTask>,
    /// One for each server that the agent runs.
    pub(super) processes: Vec<(ProcessTask, LogKeeper)>,
    /// Restarts those that the agent runs.
    pub(super) restarts: RestartTask,
}

impl OpenVpnTask {
    /// Runs until cancelled. OpenVPN and its sessions stay as they are.
    pub async fn run(self, cancel: CancellationToken) {
        self.run_after(std::future::ready(()), cancel).await;
    }

    /// The same, but OpenVPN is asked for its sessions only after `is_right`: by then the allow-list is as it should be, and whoever is not on it
    /// is cut. Its process is looked after at once.
    pub async fn run_after(self, is_right: impl Future<Output = ()>, cancel: CancellationToken) {
        let Self {
            controls,
            processes,
            restarts,
        } = self;
        let controls = async {
            if cancel.run_until_cancelled(is_right).await.is_some() {
                let run = controls.into_iter().map(|control| control.run(cancel.clone()));
                join_all(run).await;
            }
        };
        let processes = processes.into_iter().map(|(process, log)| {
            let cancel = cancel.clone();
            async move { tokio::join!(process.run(cancel.clone()), log.run(cancel)) }
        });
        tokio::join!(controls, join_all(processes), restarts.run(cancel.clone()));
    }
}
