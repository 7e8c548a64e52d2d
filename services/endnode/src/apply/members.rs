//! Members of groups: what changes for them without a command.

use std::collections::BTreeSet;

use tracing::{info, warn};
use vpnmanager_nats::ids::CommonName;
use vpnmanager_runtime::error_chain::chain;

use super::{
    applier::{Applier, ApplyError, Inner},
    projection::ProjectError,
};
use crate::{
    allow_list::Reconciled,
    backend::{Parting, VpnBackend as _},
    groups::{Draft, Holding, Placing},
    journal::JournalError,
};

impl Applier {
    /// Gives an address to those credentials that found none, as far as there is room. They are let in by the next [`Self::reconcile`].
    ///
    /// # Errors
    /// Nothing changed.
    pub async fn place_waiting(&self) -> Result<(), JournalError> {
        let inner = &self.inner;
        let Holding::ByAddress(places) = &inner.holding else {
            return Ok(());
        };
        if places.waiting().is_empty() {
            return Ok(());
        }
        // Held, so that nobody else changes places meanwhile.
        let _turn = inner.turn.lock().await;
        let (mut draft, mut given) = (Draft::of(places), Vec::new());
        for (name, group) in places.waiting() {
            match draft.place(&name, &group) {
                Placing::Given(place) => given.push((name, place)),
                Placing::Kept | Placing::Full => {}
            }
        }
        if given.is_empty() {
            return Ok(());
        }
        let credentials = given.len();
        let written = inner.journal.write(move |records| {
            for (name, place) in &given {
                records.set_place(name, place)?;
            }
            Ok(())
        });
        written.await?;
        draft.commit();
        info!(credentials, "Gave fixed addresses to credentials of members of groups");
        Ok(())
    }

    /// The same. Where it fails they stay refused, and the rest of the list is made right all the same.
    pub(super) async fn try_to_place_waiting(&self) {
        if let Err(error) = self.place_waiting().await {
            warn!(error = %chain(&error), "Credentials that wait for an address could not be given one");
        }
    }

    /// What management tells of groups has changed: lets in and refuses whom it concerns, where the agent does not run OpenVPN. Sessions are
    /// ended by [`VpnBackend::enforce`](crate::backend::VpnBackend::enforce).
    ///
    /// # Errors
    /// The allow-list is not as it should be; [`Self::reconcile`] tries again.
    pub async fn follow_definitions(&self) -> Result<Reconciled, ApplyError> {
        let turn = self.inner.turn.lock().await;
        self.inner.reconcile(&turn).await
    }

    /// The firewall has lost the rules of groups: refuses all whom it does not hold until it does, and their clients go to the next node.
    pub async fn send_members_away(&self) -> Result<(), ApplyError> {
        let names = match &self.inner.holding {
            Holding::ByAddress(places) => places.names(),
            Holding::NotAtAll(_) => Vec::new(),
        };
        if names.is_empty() {
            return Ok(());
        }
        warn!(
            credentials = names.len(),
            "The firewall has lost the rules of groups: their members are sent to other nodes"
        );
        {
            let _turn = self.inner.turn.lock().await;
            self.inner.vpn.hold_back_unheld().await.map_err(ProjectError::from)?;
        }
        // Where the server cannot be asked, the next look at its sessions finds them.
        let ended = self.inner.vpn.disconnect(&names, Parting::NextRemote).await;
        ended.map_err(ProjectError::from)?;
        Ok(())
    }
}

impl Inner {
    /// Who was found with a fixed address on the allow-list of a journal that was lost, and is none of those who are let in, has it no more.
    pub(super) async fn forget_found(&self, let_in: &BTreeSet<CommonName>) {
        let Holding::ByAddress(places) = &self.holding else {
            return;
        };
        if places.found().is_empty() {
            return;
        }
        // Held, so that whose command has come since is not among them.
        let _turn = self.turn.lock().await;
        let mut draft = Draft::of(places);
        for name in places.found().difference(let_in) {
            draft.free(name);
        }
        draft.commit();
    }
}
