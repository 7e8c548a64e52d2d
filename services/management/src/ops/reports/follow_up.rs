//! What follows once reports are recorded.

use futures_util::future::join_all;
use tracing::debug;
use vpnmanager_nats::{publish, subjects};
use vpnmanager_runtime::error_chain::chain;

use super::apply_acks::{AckedTombstone, Applied};
use crate::app::App;

/// Tells the requests that wait for these users.
pub async fn tell(app: &App, applied: &Applied) {
    if let Err(error) = app.waiters.tell(&app.db, &applied.users).await {
        debug!(error = %chain(&error), "Telling waiting requests failed, their users are looked at again");
    }
}

/// Deletes acked tombstones from the stream. One that cannot be deleted stays until its time to live ends.
pub async fn forget(app: &App, applied: Applied) {
    join_all(
        applied
            .tombstones
            .into_iter()
            .map(|tombstone| forget_one(app, tombstone)),
    )
    .await;
}

/// Deletes one.
pub async fn forget_one(app: &App, tombstone: AckedTombstone) {
    let AckedTombstone { node, user, sequence } = tombstone;
    let forgotten = match sequence {
        Some(sequence) => publish::forget_tombstone(&app.topology, &node, user, sequence)
            .await
            .map_err(anyhow::Error::new),
        None => app
            .topology
            .forget_command(&subjects::command(&node, user))
            .await
            .map_err(anyhow::Error::new),
    };
    if let Err(error) = forgotten {
        debug!(
            error = format!("{error:#}"),
            "Deleting a tombstone failed, it stays until its time to live ends"
        );
    }
}
