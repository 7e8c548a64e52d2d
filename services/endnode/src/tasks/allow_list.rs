//! The allow-list against the journal: somebody may have edited the folder, or a projection was cut short.

use std::time::Duration;

use tracing::warn;
use vpnmanager_nats::events::EventKind;
use vpnmanager_runtime::reconcile::{Next, Reconciler, Schedule};

use super::serving::Readiness;
use crate::{
    apply::{Applier, ApplyError},
    journal::Journal,
    node::Node,
};

const PERIOD: Duration = Duration::from_secs(10);

/// Makes the folder true again and tells what it found.
#[derive(Debug)]
pub struct AllowListRepair {
    /// This node.
    pub node: Node,
    /// For the event.
    pub journal: Journal,
    /// Changes access.
    pub applier: Applier,
    /// Whether the journal is complete: an empty one must not lock everybody out.
    pub readiness: Readiness,
}

impl AllowListRepair {
    /// When it runs unless woken.
    pub fn schedule() -> Schedule {
        Schedule::every(PERIOD)
    }
}

impl Reconciler for AllowListRepair {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        if !self.readiness.is_complete() {
            return Ok(Next::Idle);
        }
        let changes = self.applier.reconcile().await?;
        if changes.is_unchanged() {
            return Ok(Next::Idle);
        }
        let text =
            |names: &[vpnmanager_nats::ids::CommonName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let restored = text(&[changes.added, changes.repaired].concat());
        let removed = text(&changes.removed);
        warn!(
            restored = restored.len(),
            removed = removed.len(),
            "The allow-list differed from the journal and was made right"
        );
        let event = self.node.event(EventKind::AllowListRepaired { restored, removed });
        let queued = self.journal.write(move |records| records.queue_event(&event)).await;
        queued.map_err(ApplyError::from)?;
        self.node.wakes.events.wake();
        Ok(Next::Idle)
    }
}
