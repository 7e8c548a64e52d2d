//! The old listener as the rest of the agent sees it.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::warn;
use vpnmanager_nats::{
    ids::{CommonName, UserKey},
    listeners::Listener,
    old_certificates::{OldCertificate, SerialNumber},
};
use vpnmanager_runtime::log_limit::LogLimit;

use super::{
    clients::{Client, OldClients},
    entries::{Entries, entry},
    external::ExternalCheck,
    revoked::RevokedFolder,
};
use crate::{
    allow_list::{AllowList, Reconciled, Told},
    backend::{BackendError, BackendState, CutSessions, Parting, Rest, VpnBackend as _},
    blocking::beside,
    faults::all_of,
    journal::OldGrant,
    openvpn::OpenVpnBackend,
};

static NOT_FOLLOWED: LogLimit = LogLimit::new("what the old server refuses itself could not be taken over");

/// The old listener: who may log in there, and its OpenVPN. Clones are the same one.
#[derive(Debug, Clone)]
pub struct OldListener {
    parts: Arc<OldParts>,
    entries: Arc<Mutex<Entries>>,
    /// Those of whom a certificate is refused that was not before, and who may be connected with it.
    to_renew: Arc<Mutex<BTreeSet<CommonName>>>,
}

/// What it is made of.
#[derive(Debug)]
pub struct OldParts {
    /// What clients dial.
    pub listener: Listener,
    /// Its OpenVPN, with its own list.
    pub backend: OpenVpnBackend,
    /// That list.
    pub list: AllowList,
    /// What the entries of the list say.
    pub told: Told,
    /// What the old server says to single clients.
    pub clients: OldClients,
    /// The serial numbers that are refused.
    pub revoked: RevokedFolder,
    /// Where the operator runs it: the check of its configuration.
    pub check: Option<ExternalCheck>,
    /// Options of the old configuration that the agent leaves out.
    pub left_out: Vec<String>,
}

/// How the old listener is, for the health of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldHealth {
    /// What degrades the node.
    pub fault: Option<String>,
    /// What is worth knowing.
    pub detail: Option<String>,
}

/// What a look at its files found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// Those that it has otherwise than wanted.
    pub differing: BTreeSet<CommonName>,
    /// Whether it refuses other serial numbers than it should.
    pub revoked_differ: bool,
}

impl Looked {
    /// Whether all is as it should be.
    pub fn is_right(&self) -> bool {
        self.differing.is_empty() && !self.revoked_differ
    }
}

impl OldListener {
    /// Of these parts. Whoever has an entry is known from it, until the journal says more.
    ///
    /// # Errors
    /// The folder of its list cannot be read.
    pub fn new(parts: OldParts) -> Result<Self, BackendError> {
        let names = parts.list.list()?.names;
        let entries = Entries::found(parts.list.dir(), names);
        Ok(Self {
            parts: Arc::new(parts),
            entries: Arc::new(Mutex::new(entries)),
            to_renew: Arc::default(),
        })
    }

    /// Its OpenVPN. Only this module changes its list.
    pub fn backend(&self) -> &OpenVpnBackend {
        &self.parts.backend
    }

    /// The common names that it lets in for these users.
    pub fn names_of(&self, users: &[UserKey]) -> BTreeSet<CommonName> {
        self.entries().of(users)
    }

    /// Those of these names that it lets in.
    pub fn present(&self, names: Vec<CommonName>) -> Vec<CommonName> {
        let entries = self.entries();
        names.into_iter().filter(|name| entries.has(name)).collect()
    }

    /// Whether it lets in anybody.
    pub fn lets_in_anybody(&self) -> bool {
        !self.entries().is_empty()
    }

    /// Refuses those of this name that were revoked. Who may be connected with one is to log in again: see [`Self::renew`].
    ///
    /// # Errors
    /// One of them could not be refused: nobody of this name may be let in.
    pub fn revoke(&self, certificate: &OldCertificate) -> Result<(), BackendError> {
        self.refuse_revoked(&certificate.common_name, &certificate.revoked)
    }

    /// Parts those whom the old server's own files disable from those whom it may let in.
    pub fn without_disabled(&self, grants: Vec<OldGrant>) -> (Vec<OldGrant>, Vec<CommonName>) {
        let is_let_in = |grant: &OldGrant| self.parts.clients.lets_in(&grant.common_name);
        let (let_in, disabled): (Vec<_>, Vec<_>) = grants.into_iter().partition(is_let_in);
        (let_in, disabled.into_iter().map(|grant| grant.common_name).collect())
    }

    /// Refuses these. Their sessions go on: see [`Self::disconnect`].
    ///
    /// # Errors
    /// One of them could not be refused; all are tried. Whoever logs in with it is cut all the same.
    pub async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        self.parts.backend.deny(names).await?;
        let mut entries = self.entries();
        for name in names {
            entries.remove(name);
            self.parts.told.forget(name);
        }
        Ok(())
    }

    /// Lets these in, once their revoked certificates are refused. Who was let in before, and may be connected with one of these, is to log in
    /// again: see [`Self::renew`].
    ///
    /// # Errors
    /// One of them could not be let in, or a revoked certificate not be refused: then whom it concerns is not let in.
    pub async fn allow(&self, grants: Vec<OldGrant>) -> Result<(), BackendError> {
        let (mut names, mut first_failure) = (Vec::new(), Ok(()));
        for grant in grants {
            match self.refuse_revoked(&grant.common_name, &grant.revoked) {
                Ok(()) => {
                    self.tell(&grant, self.parts.clients.look(&grant.common_name));
                    self.entries().set(grant.common_name.clone(), grant.user_key);
                    names.push(grant.common_name);
                }
                Err(failure) => {
                    let refused = self.deny(std::slice::from_ref(&grant.common_name)).await;
                    first_failure = first_failure.and(refused).and(Err(failure));
                }
            }
        }
        let allowed = self.parts.backend.allow(&names).await;
        first_failure?;
        allowed.map(drop)
    }

    /// Ends the sessions of those who may be connected with a certificate that is refused by now. Their clients may log in again with another one.
    pub async fn renew(&self) -> Result<CutSessions, BackendError> {
        let names: Vec<CommonName> = self.to_renew().iter().cloned().collect();
        let cut = self.parts.backend.disconnect(&names, Parting::Reconnect).await?;
        if cut.rest == Rest::Nothing {
            let mut to_renew = self.to_renew();
            names.iter().for_each(|name| _ = to_renew.remove(name));
        }
        Ok(cut)
    }

    /// Ends every session whose certificate is not let in, and what [`Self::renew`] left.
    pub async fn enforce(&self) -> Result<CutSessions, BackendError> {
        let cut = self.parts.backend.enforce().await?;
        Ok(cut.and(self.renew().await?))
    }

    /// Ends the sessions of these.
    pub async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        self.parts.backend.disconnect(names, parting).await
    }

    /// How its files differ from what is wanted. Changes nothing, but a folder that was lost, and that what the old server refuses itself is
    /// refused. It looks at each file, and at those of the old server.
    pub async fn compare(&self, grants: Vec<OldGrant>) -> Result<Looked, BackendError> {
        let this = self.clone();
        let (names, serials) = looked(move || {
            this.follow();
            this.tell_all(&grants)
        })
        .await;
        let differing = self.parts.backend.compare(names).await?;
        let revoked = self.parts.revoked.clone();
        let revoked_differ = looked(move || revoked.differs(&serials)).await.map_err(failed)?;
        Ok(Looked {
            differing,
            revoked_differ,
        })
    }

    /// Of these names, refuses those that are not among all who are wanted, and lets in the others.
    ///
    /// # Errors
    /// The first failure; those that are not wanted are refused as far as the disk lets.
    pub async fn mend(&self, names: &BTreeSet<CommonName>, grants: Vec<OldGrant>) -> Result<Reconciled, BackendError> {
        let (this, mut names) = (self.clone(), names.clone());
        let (grants, (mut wanted, serials)) = looked(move || {
            let told = this.tell_all(&grants);
            (grants, told)
        })
        .await;
        let mut first_failure = Ok(());
        for grant in &grants {
            if let Err(failure) = self.refuse_revoked(&grant.common_name, &grant.revoked) {
                wanted.remove(&grant.common_name);
                names.insert(grant.common_name.clone());
                first_failure = first_failure.and(Err(failure));
            }
        }
        {
            let mut entries = self.entries();
            names.difference(&wanted).for_each(|name| entries.remove(name));
            let let_in = grants.iter().filter(|grant| wanted.contains(&grant.common_name));
            for grant in let_in.filter(|grant| names.contains(&grant.common_name)) {
                entries.set(grant.common_name.clone(), grant.user_key);
            }
        }
        let mended = self.parts.backend.mend(&names, &wanted).await;
        first_failure?;
        let mended = mended?;
        self.parts.revoked.keep_only(&serials).map_err(failed)?;
        Ok(mended)
    }

    /// How it is.
    pub async fn health(&self) -> OldHealth {
        let health = self.parts.backend.health().await;
        let is_lacking = match health.state {
            BackendState::Down => true,
            BackendState::Starting => health.is_failing,
            BackendState::Up | BackendState::Stopped | BackendState::Absent => false,
        };
        let of_server = Some(health.detail).filter(|detail| !detail.is_empty());
        let (lack, remark) = if is_lacking {
            (of_server, None)
        } else {
            (None, of_server)
        };
        let findings = self.parts.check.iter().flat_map(ExternalCheck::findings).map(Some);
        let fault = all_of([lack, health.fault].into_iter().chain(findings));
        let left_out = (!self.parts.left_out.is_empty())
            .then(|| format!("left out of the old configuration: {}", self.parts.left_out.join(", ")));
        let named = |text: String| format!("the old listener {}: {text}", self.parts.listener);
        OldHealth {
            fault: fault.map(named),
            detail: all_of([remark, left_out]).map(named),
        }
    }

    /// The operator may go on to revoke by the tools of before.
    fn follow(&self) {
        if let Err(reason) = self.parts.revoked.follow()
            && let Some(times) = NOT_FOLLOWED.admit()
        {
            warn!(reason = %reason, times, "What the old server refuses itself could not be taken over; what it refused before stays so");
        }
    }

    /// Has the list say of these what the old server says. Gives those whom it may let in, and all serial numbers that are refused for them.
    fn tell_all(&self, grants: &[OldGrant]) -> (BTreeSet<CommonName>, BTreeSet<SerialNumber>) {
        let seen = self.parts.clients.look_at_all();
        let (mut names, mut serials) = (BTreeSet::new(), BTreeSet::new());
        for grant in grants {
            serials.extend(grant.revoked.iter().cloned());
            if self.tell(grant, seen.of(&grant.common_name)) {
                names.insert(grant.common_name.clone());
            }
        }
        (names, serials)
    }

    /// False for one that the old server's own files disable.
    fn tell(&self, grant: &OldGrant, client: Client) -> bool {
        match client {
            Client::Lines(lines) => {
                let text = entry(grant.user_key, &lines);
                self.parts.told.set(grant.common_name.clone(), text);
                true
            }
            Client::Disabled => {
                self.parts.told.forget(&grant.common_name);
                false
            }
        }
    }

    /// Refuses the revoked certificates of somebody who is to be let in.
    fn refuse_revoked(&self, name: &CommonName, revoked: &[SerialNumber]) -> Result<(), BackendError> {
        if revoked.is_empty() {
            return Ok(());
        }
        let is_news = self.parts.revoked.add(revoked).map_err(failed)?;
        if is_news && self.entries().has(name) {
            self.to_renew().insert(name.clone());
        }
        Ok(())
    }

    fn to_renew(&self) -> MutexGuard<'_, BTreeSet<CommonName>> {
        self.to_renew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Beside the tasks of the agent: it may look at many files.
async fn looked<T: Send + 'static>(look: impl FnOnce() -> T + Send + 'static) -> T {
    match beside(look).await {
        Some(looked) => looked,
        // The process stops.
        None => std::future::pending().await,
    }
}

fn failed(error: io::Error) -> BackendError {
    BackendError::OldListener(error.into())
}

#[cfg(test)]
mod tests;
