//! What runs behind the OpenVPNs of a node.

use futures_util::{FutureExt as _, future::join_all};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error_span};
use vpnmanager_nats::listeners::Listener;

use super::{
    control_socket::ControlTask,
    process::{LogKeeper, ProcessTask},
    restart::RestartTask,
};

/// What runs behind an [`OpenVpnBackend`](super::OpenVpnBackend).
#[derive(Debug)]
pub struct OpenVpnTask {
    /// One for each listener, in their order.
    pub(super) listeners: Vec<ListenerTask>,
    /// Restarts the servers that the agent runs.
    pub(super) restarts: RestartTask,
}

/// What runs behind the OpenVPN of one listener.
#[derive(Debug)]
pub(super) struct ListenerTask {
    /// What clients dial.
    pub(super) listener: Listener,
    /// Keeps the connection to its management socket.
    pub(super) control: ControlTask,
    /// Where the agent runs it: looks after its process and its log.
    pub(super) process: Option<(ProcessTask, LogKeeper)>,
}

impl OpenVpnTask {
    /// Runs until cancelled. OpenVPN and its sessions stay as they are.
    pub async fn run(self, cancel: CancellationToken) {
        self.run_after(std::future::ready(()), cancel).await;
    }

    /// The same, but OpenVPN is asked for its sessions only after `is_right`: by then the allow-list is as it should be, and whoever is not on it
    /// is cut. Its process is looked after at once.
    pub async fn run_after(self, is_right: impl Future<Output = ()>, cancel: CancellationToken) {
        let Self { listeners, restarts } = self;
        let is_right = is_right.shared();
        let listeners = listeners.into_iter().map(|task| {
            // Of this level, so that a warning has it whatever LOG_LEVEL leaves out.
            let span = error_span!("openvpn", listener = %task.listener);
            task.run(is_right.clone(), cancel.clone()).instrument(span)
        });
        tokio::join!(join_all(listeners), restarts.run(cancel.clone()));
    }
}

impl ListenerTask {
    async fn run(self, is_right: impl Future<Output = ()>, cancel: CancellationToken) {
        let Self { control, process, .. } = self;
        let control = async {
            if cancel.run_until_cancelled(is_right).await.is_some() {
                control.run(cancel.clone()).await;
            }
        };
        let process = async {
            if let Some((process, log)) = process {
                tokio::join!(process.run(cancel.clone()), log.run(cancel.clone()));
            }
        };
        tokio::join!(control, process);
    }
}
