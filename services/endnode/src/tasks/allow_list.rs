//! The allow-list against the journal: somebody may have edited the folder, or a projection was cut short.

use std::time::Duration;

use tracing::warn;
use vpnmanager_nats::{events::EventKind, ids::CommonName};

use crate::{apply::ApplyError, shared::Shared};

/// Between two comparisons.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Makes the folder as it should be again, and reports what differed. Does nothing while the journal is incomplete: an
/// empty one must not lock everybody out. A node that must not serve does lock everybody out.
pub async fn repair_allow_list(shared: Shared) -> Result<(), ApplyError> {
    if !shared.readiness.has_a_say() {
        return Ok(());
    }
    let changes = shared.applier.reconcile().await?;
    if changes.is_unchanged() {
        return Ok(());
    }
    let text = |names: &[CommonName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let restored = text(&[changes.added, changes.repaired].concat());
    let removed = text(&changes.removed);
    warn!(
        restored = restored.len(),
        removed = removed.len(),
        "The allow-list differed from the journal and was repaired"
    );
    let event = shared.node.event(EventKind::AllowListRepaired { restored, removed });
    shared.journal.write(move |records| records.queue_event(&event)).await?;
    shared.node.wakes.events.wake();
    Ok(())
}
