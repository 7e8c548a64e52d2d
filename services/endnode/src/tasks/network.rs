//! The network of the pool on this machine: applied as management tells it, and compared again and again, because others change firewalls
//! too.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vpnmanager_runtime::{backoff::jittered, reconcile::Wake};

use crate::{coordination::readiness::Readiness, network::Keeper};

/// Between two comparisons, and two tries of what failed.
const PERIOD: Duration = Duration::from_secs(10);

/// Keeps it until stopped. `heartbeat` wakes whoever tells management what became of it.
pub async fn run(
    mut keeper: Keeper,
    readiness: Readiness,
    heartbeat: Wake,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut states = readiness.watch();
    while !stop.is_cancelled() {
        let is_refused = states.borrow_and_update().refused.is_some();
        let Some(is_news) = stop.run_until_cancelled(keeper.reconcile(is_refused)).await else {
            break;
        };
        if is_news {
            heartbeat.wake();
        }
        tokio::select! {
            () = keeper.changed() => {}
            changed = states.changed() => changed?,
            () = tokio::time::sleep(jittered(PERIOD)) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}
