//! The task: when a handshake is due.

use std::time::{Duration, Instant};

use async_nats::connection::State;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_runtime::{
    backoff::{Backoff, jittered},
    error_chain::chain,
};

use super::handshake::shake_hands;
use crate::shared::Shared;

/// Before a failed handshake is tried again.
const RETRY: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
/// Between two looks for commands that do not come again.
const LACKS: Duration = Duration::from_secs(1);
/// Between two looks for a connection.
const LOOK: Duration = Duration::from_millis(250);

/// Has handshakes until stopped. `connections` changes with each connection to the bus.
pub async fn run(shared: Shared, mut connections: watch::Receiver<u64>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        connections.borrow_and_update();
        // Without a connection there is nobody to ask, and a question that waits in the client would be stale when it is sent.
        if shared.bus.connection_state() != State::Connected {
            tokio::select! {
                changed = connections.changed() => changed?,
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let outcome = tokio::select! {
            outcome = shake_hands(&shared, &connections) => outcome,
            () = stop.cancelled() => break,
        };
        let pause = match outcome {
            Ok(pause) => {
                failures = 0;
                pause
            }
            Err(error) => {
                if failures == 0 {
                    warn!(error = %chain(&error), "Not in sync with management, asking again");
                } else {
                    debug!(error = %chain(&error), failures, "Not in sync with management yet");
                }
                failures = failures.saturating_add(1);
                RETRY.after(failures)
            }
        };
        tokio::select! {
            () = pass(&shared, jittered(pause)) => {}
            () = shared.node.wakes.sync.woken(), if failures == 0 => {}
            () = shared.node.wakes.prompt.woken() => failures = 0,
            changed = connections.changed() => changed?,
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Waits for `pause`, or until a command that was handed back does not come again.
async fn pass(shared: &Shared, pause: Duration) {
    let end = Instant::now() + pause;
    loop {
        let now = Instant::now();
        let left = end.saturating_duration_since(now);
        if left.is_zero() || shared.progress.lacks_some(now) {
            return;
        }
        tokio::time::sleep(left.min(LACKS)).await;
    }
}
