//! `disconnect`: ends one session. Its client is told to stop; its user may log in again.

use vpnmanager_nats::node_requests::NodeAnswer;

use crate::{
    backend::{BackendError, SessionKey, VpnBackend as _},
    shared::Shared,
};

pub(super) async fn answer(shared: &Shared, session: SessionKey) -> Result<NodeAnswer, BackendError> {
    let ended = shared.vpn.end(session).await?;
    // Sessions of certificates that are none of ours are not told of either.
    let common_name = ended.and_then(|common_name| common_name.parse().ok());
    Ok(match common_name {
        Some(common_name) => NodeAnswer::Disconnected { common_name },
        None => NodeAnswer::NotFound {
            detail: "that session has ended".to_owned(),
        },
    })
}
