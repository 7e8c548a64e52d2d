//! Tells the server whether this node serves.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    backend::{Serving, VpnBackend as _},
    coordination::readiness::{Readiness, ReadinessState},
    vpn::Vpn,
};

/// How long a start waits for management, so that what was revoked meanwhile is refused before the first login.
/// After that a complete journal serves without it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells the server what is known, as it changes, until stopped.
pub async fn run(readiness: Readiness, vpn: Vpn, stop: CancellationToken) -> anyhow::Result<()> {
    let mut states = readiness.watch();
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let mut waited = false;
    let mut last = None;
    while !stop.is_cancelled() {
        let state = states.borrow_and_update().clone();
        let serving = state.serving(waited);
        if last != Some(serving) {
            log_change(serving, &state);
            vpn.set_serving(serving).await;
            last = Some(serving);
        }
        tokio::select! {
            changed = states.changed() => changed?,
            () = &mut patience, if !waited => waited = true,
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

fn log_change(serving: Serving, state: &ReadinessState) {
    match serving {
        Serving::Yes => info!(in_sync = state.caught_up, "This node serves"),
        Serving::Undecided => info!(
            complete = state.complete,
            "This node waits for management before it serves"
        ),
        Serving::No => warn!(reason = state.refused, "This node must not serve"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::FakeBackend;

    #[tokio::test(start_paused = true)]
    async fn a_complete_journal_serves_after_five_seconds_without_management() {
        let (fake, readiness, stop) = (
            FakeBackend::default(),
            Readiness::new(true, None),
            CancellationToken::new(),
        );
        let task = run(readiness, Vpn::Fake(fake.clone()), stop.clone());
        let look = async {
            tokio::time::sleep(PATIENCE - Duration::from_millis(10)).await;
            let before = fake.serving();
            tokio::time::sleep(Duration::from_millis(20)).await;
            stop.cancel();
            (before, fake.serving())
        };
        let (done, seen) = tokio::join!(task, look);
        done.unwrap();
        assert_eq!(seen, (Serving::Undecided, Serving::Yes));
    }
}
