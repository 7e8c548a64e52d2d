//! Ends the process when its database was replaced by a restored one: it runs with what it knows of the former one, and nobody has decided yet what
//! holds. Its supervisor starts it again, and then it waits.

use sea_orm::DatabaseConnection;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vpnmanager_runtime::{error_chain::chain, reconcile::Wake};

use crate::ops::restoration::mark::{Undecided, undecided};

/// Fails when the database waits for a decision; it is looked at when somebody has seen the mark.
pub(super) async fn watch(db: DatabaseConnection, seen: Wake, stop: CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        undecided = marked(&db, &seen) => Err(undecided.into()),
        () = stop.cancelled() => Ok(()),
    }
}

async fn marked(db: &DatabaseConnection, seen: &Wake) -> Undecided {
    loop {
        seen.woken().await;
        match undecided(db).await {
            Ok(Some(undecided)) => return undecided,
            Ok(None) => {}
            // It is seen again in a second.
            Err(error) => {
                warn!(error = %chain(&error), "Looking for the mark of a restored database failed, trying again")
            }
        }
    }
}
