//! What follows once reports are recorded.

use tracing::debug;
use vpnmanager_nats::publish;
use vpnmanager_runtime::error_chain::chain;

use super::apply_acks::Applied;
use crate::app::App;

/// Tells the requests that wait for these users.
pub async fn tell(app: &App, applied: &Applied) {
    if let Err(error) = app.waiters.tell(&app.db, &applied.users).await {
        debug!(error = %chain(&error), "Telling waiting requests failed, their users are looked at again");
    }
}

/// Deletes acked tombstones from the stream. One that cannot be deleted stays until its time to live ends.
pub async fn forget(app: &App, applied: Applied) {
    for tombstone in applied.tombstones {
        let forgotten =
            publish::forget_tombstone(&app.topology, &tombstone.node, tombstone.user, tombstone.sequence).await;
        if let Err(error) = forgotten {
            debug!(error = %chain(&error), "Deleting a tombstone failed, it stays until its time to live ends");
        }
    }
}
