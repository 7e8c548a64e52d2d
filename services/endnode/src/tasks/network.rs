//! The network of the pool on this machine: applied as management tells it, and compared again and again, because others change firewalls
//! too.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vpnmanager_runtime::{backoff::jittered, reconcile::Wake};

use crate::{coordination::readiness::Readiness, network::Keeper};

/// Between two comparisons that take little, and two tries of what failed.
const PERIOD: Duration = Duration::from_secs(10);
/// After one that took long passes so many times as long before the next one: nft reads and prints each address whose speed is held, and with
/// 30,000 of them that takes a second.
const REST: u32 = 20;
/// But no more than this: so long clients may be judged by what others made of the firewall.
const LONGEST: Duration = Duration::from_secs(30);

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
        let began = Instant::now();
        let Some(is_news) = stop.run_until_cancelled(keeper.reconcile(is_refused)).await else {
            break;
        };
        if is_news {
            heartbeat.wake();
        }
        tokio::select! {
            () = keeper.changed() => {}
            changed = states.changed() => changed?,
            () = tokio::time::sleep(jittered(pause(began.elapsed()))) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Until the next comparison, after one that took so long.
fn pause(took: Duration) -> Duration {
    took.saturating_mul(REST).clamp(PERIOD, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_that_takes_long_is_made_less_often() {
        for (took, expected) in [
            (0, 10_000),
            (500, 10_000),
            (800, 16_000),
            (1_500, 30_000),
            (20_000, 30_000),
        ] {
            let paused = pause(Duration::from_millis(took));
            assert_eq!(paused, Duration::from_millis(expected), "{took} ms");
        }
    }
}
