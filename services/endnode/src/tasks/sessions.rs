//! The backstop of every cut: each second, whoever is connected and not let in is cut.

use std::{collections::BTreeSet, time::Duration};

use tracing::warn;
use vpnmanager_nats::events::EventKind;
use vpnmanager_runtime::reconcile::{Next, Reconciler, Schedule};

use super::serving::Readiness;
use crate::{
    apply::{ApplyError, ProjectError},
    backend::{BackendError, Session, VpnBackend as _},
    journal::Journal,
    node::Node,
    vpn::Vpn,
};

const PERIOD: Duration = Duration::from_secs(1);

/// Cuts who slipped through.
#[derive(Debug)]
pub struct SessionGuard {
    /// This node.
    pub node: Node,
    /// For the event.
    pub journal: Journal,
    /// The server.
    pub vpn: Vpn,
    /// Whether the journal is complete: an empty one must not cut everybody.
    pub readiness: Readiness,
}

impl SessionGuard {
    /// When it runs.
    pub fn schedule() -> Schedule {
        Schedule::every(PERIOD)
    }
}

impl Reconciler for SessionGuard {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        if !self.readiness.is_complete() {
            return Ok(Next::Idle);
        }
        // A server that is down has no sessions; its health says so elsewhere.
        let Ok(before) = self.vpn.sessions().await else {
            return Ok(Next::Idle);
        };
        let cut = self.vpn.enforce().await.map_err(failed)?;
        if cut.count == 0 {
            return Ok(Next::Idle);
        }
        let after: BTreeSet<u64> = self
            .vpn
            .sessions()
            .await
            .map_err(failed)?
            .iter()
            .map(|session| session.cid)
            .collect();
        let gone = |session: &&Session| !after.contains(&session.cid);
        let common_names: Vec<_> = before
            .iter()
            .filter(gone)
            .filter_map(|session| session.common_name.parse().ok())
            .collect();
        warn!(sessions = cut.count, "Cut sessions of credentials that are not let in");
        let event = self.node.event(EventKind::SessionsCut { common_names });
        let queued = self.journal.write(move |records| records.queue_event(&event)).await;
        queued.map_err(ApplyError::from)?;
        self.node.wakes.events.wake();
        Ok(Next::Idle)
    }
}

fn failed(error: BackendError) -> ApplyError {
    ProjectError::from(error).into()
}
