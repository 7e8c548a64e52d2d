//! The lists of those who may log in against the journal, as a whole.

use std::collections::{BTreeSet, HashSet};

use chrono::Utc;
use tracing::info;
use vpnmanager_nats::ids::CommonName;

use super::{
    applier::{Applier, ApplyError, Inner},
    projection::{Door, ProjectError},
    turn::Turn,
};
use crate::{allow_list::Reconciled, backend::VpnBackend as _};

impl Applier {
    /// Refuses whom the journal does not let in, and returns them. All else waits for [`Self::reconcile`]: at a start it is not known yet whether
    /// the firewall holds the rules of members of groups, and an entry of theirs that was made otherwise would be taken away meanwhile, which
    /// ends the sessions of those who have it.
    ///
    /// # Errors
    /// The first failure. All others are refused, as far as the disk lets.
    pub async fn refuse_unwanted(&self) -> Result<Vec<CommonName>, ApplyError> {
        let inner = &self.inner;
        self.try_to_place_waiting().await;
        let turn = inner.turn.lock().await;
        let wanted = inner.wanted(turn.door, &turn.refused()).await?;
        let differing = inner.vpn.compare(wanted.clone()).await.map_err(ProjectError::from)?;
        let unwanted: BTreeSet<CommonName> = differing.difference(&wanted).cloned().collect();
        let changes = inner.vpn.mend(&unwanted, &wanted).await.map_err(ProjectError::from);
        drop(turn);
        let old = self.refuse_unwanted_old().await;
        Ok([changes?.removed, old?].concat())
    }

    /// Makes the allow-list equal to the journal, or empty while the node lets nobody in, and returns what had to change. The same of the list
    /// of the old listener.
    pub async fn reconcile(&self) -> Result<Reconciled, ApplyError> {
        let changes = self.reconcile_credentials().await;
        // Whatever becomes of the one, the other has its turn.
        let old = self.reconcile_old().await;
        Ok(changes?.and(old?))
    }

    async fn reconcile_credentials(&self) -> Result<Reconciled, ApplyError> {
        let inner = &self.inner;
        self.try_to_place_waiting().await;
        // A look at all credentials takes long where there are many. It holds up nobody, and mostly finds nothing.
        let (door, unjournaled) = {
            let turn = inner.turn.lock().await;
            (turn.door, turn.refused())
        };
        let wanted = inner.wanted(door, &unjournaled).await?;
        inner.forget_found(&wanted).await;
        let differing = inner.vpn.compare(wanted).await.map_err(ProjectError::from)?;
        if differing.is_empty() {
            return Ok(Reconciled::default());
        }
        let turn = inner.turn.lock().await;
        let (names, refused) = (differing.clone(), turn.refused());
        let mut wanted = match turn.door {
            Door::Open => {
                inner
                    .journal
                    .read(move |records| records.wanted_among(&names, Utc::now()))
                    .await?
            }
            Door::Closed => BTreeSet::new(),
        };
        wanted.retain(|name| !refused.contains(name));
        inner.holding.refuse(&mut wanted);
        Ok(inner.vpn.mend(&differing, &wanted).await.map_err(ProjectError::from)?)
    }

    /// Looks whom the allow-list lets in of whom a journal that is not complete may know nothing.
    ///
    /// # Errors
    /// The list cannot be read; [`Self::apply`] tries again.
    pub async fn look_for_unknown(&self) -> Result<(), ProjectError> {
        let inner = &self.inner;
        inner.turn.lock().await.unknown(&inner.vpn).await.map(drop)
    }

    /// Lets nobody in from now on, until [`Self::open`]. Sessions are ended by [`VpnBackend::enforce`](crate::backend::VpnBackend::enforce).
    /// The journal keeps its users.
    ///
    /// # Errors
    /// The allow-list could not be emptied; [`Self::reconcile`] tries again.
    pub async fn close(&self) -> Result<(), ApplyError> {
        let mut turn = self.inner.turn.lock().await;
        turn.door = Door::Closed;
        self.inner.reconcile(&turn).await?;
        Ok(())
    }

    /// Lets in again whom the journal lets in. Changes nothing where that is so already.
    ///
    /// # Errors
    /// The allow-list lacks some; [`Self::reconcile`] tries again.
    pub async fn open(&self) -> Result<(), ApplyError> {
        let mut turn = self.inner.turn.lock().await;
        if turn.door == Door::Open {
            return Ok(());
        }
        turn.door = Door::Open;
        let changes = self.inner.reconcile(&turn).await?;
        info!(restored = changes.added.len(), "The allow-list is back");
        Ok(())
    }
}

impl Inner {
    /// Everybody who may log in.
    async fn wanted(&self, door: Door, refused: &HashSet<CommonName>) -> Result<BTreeSet<CommonName>, ApplyError> {
        let mut wanted = match door {
            Door::Open => self.journal.read(|records| records.wanted(Utc::now())).await?,
            Door::Closed => BTreeSet::new(),
        };
        wanted.retain(|name| !refused.contains(name));
        self.holding.refuse(&mut wanted);
        Ok(wanted)
    }

    pub(super) async fn reconcile(&self, turn: &Turn) -> Result<Reconciled, ApplyError> {
        let changes = self.reconcile_credentials(turn).await;
        let old = self.reconcile_old(turn).await;
        Ok(changes?.and(old?))
    }

    async fn reconcile_credentials(&self, turn: &Turn) -> Result<Reconciled, ApplyError> {
        let wanted = self.wanted(turn.door, &turn.refused()).await?;
        let differing = self.vpn.compare(wanted.clone()).await.map_err(ProjectError::from)?;
        Ok(self.vpn.mend(&differing, &wanted).await.map_err(ProjectError::from)?)
    }
}
