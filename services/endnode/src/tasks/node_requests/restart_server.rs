//! `restart_server`: OpenVPN starts anew, with the files that it has. The journal, the allow-list and the firewall stay as they are.

use vpnmanager_nats::node_requests::NodeAnswer;

use crate::{
    backend::{BackendError, VpnBackend as _},
    shared::Shared,
};

/// It is begun, not done: management hears of the end by heartbeats. `only_ask`: it is not even begun.
pub(super) async fn answer(shared: &Shared, only_ask: bool) -> Result<NodeAnswer, BackendError> {
    if only_ask {
        return shared.vpn.would_restart().map(|()| NodeAnswer::Done);
    }
    shared.vpn.restart().await?;
    shared.node.wakes.heartbeat.wake();
    Ok(NodeAnswer::Done)
}
