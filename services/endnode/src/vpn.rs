//! The VPN server behind a pointer, so that nothing else here is generic over it.

use std::{collections::BTreeSet, fmt, future::Future, pin::Pin, sync::Arc};

use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use crate::backend::{BackendError, BackendHealth, CutSessions, Parting, Reconciled, Serving, Session, VpnBackend};

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any [`VpnBackend`]. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct Vpn(Arc<dyn Erased>);

impl fmt::Debug for Vpn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vpn(..)")
    }
}

impl Vpn {
    /// Hides which backend it is.
    pub fn new(backend: impl VpnBackend) -> Self {
        Self(Arc::new(backend))
    }

    /// As [`VpnBackend::allow`].
    ///
    /// # Errors
    /// When the allow-list cannot be written.
    pub async fn allow(&self, names: &[CommonName]) -> Result<(), BackendError> {
        if names.is_empty() {
            Ok(())
        } else {
            self.0.allow(names).await
        }
    }

    /// As [`VpnBackend::deny`].
    ///
    /// # Errors
    /// When the allow-list cannot be written, or the server refuses.
    pub async fn deny(&self, names: &[CommonName]) -> Result<CutSessions, BackendError> {
        if names.is_empty() {
            Ok(CutSessions::default())
        } else {
            self.0.deny(names).await
        }
    }

    /// As [`VpnBackend::disconnect`].
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        if names.is_empty() {
            Ok(CutSessions::default())
        } else {
            self.0.disconnect(names, parting).await
        }
    }

    /// As [`VpnBackend::logins`].
    pub fn logins(&self) -> watch::Receiver<u64> {
        self.0.logins()
    }

    /// As [`VpnBackend::reconcile`].
    ///
    /// # Errors
    /// When the allow-list cannot be read or written.
    pub async fn reconcile(&self, wanted: &BTreeSet<CommonName>) -> Result<Reconciled, BackendError> {
        self.0.reconcile(wanted).await
    }

    /// As [`VpnBackend::enforce`].
    ///
    /// # Errors
    /// When the allow-list cannot be read, or the server refuses.
    pub async fn enforce(&self) -> Result<CutSessions, BackendError> {
        self.0.enforce().await
    }

    /// As [`VpnBackend::sessions`].
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        self.0.sessions().await
    }

    /// As [`VpnBackend::health`].
    pub async fn health(&self) -> BackendHealth {
        self.0.health().await
    }

    /// As [`VpnBackend::set_serving`].
    pub async fn set_serving(&self, serving: Serving) {
        self.0.set_serving(serving).await;
    }
}

trait Erased: Send + Sync {
    fn allow<'a>(&'a self, names: &'a [CommonName]) -> Answer<'a, Result<(), BackendError>>;
    fn deny<'a>(&'a self, names: &'a [CommonName]) -> Answer<'a, Result<CutSessions, BackendError>>;
    fn disconnect<'a>(
        &'a self,
        names: &'a [CommonName],
        parting: Parting,
    ) -> Answer<'a, Result<CutSessions, BackendError>>;
    fn logins(&self) -> watch::Receiver<u64>;
    fn reconcile<'a>(&'a self, wanted: &'a BTreeSet<CommonName>) -> Answer<'a, Result<Reconciled, BackendError>>;
    fn enforce(&self) -> Answer<'_, Result<CutSessions, BackendError>>;
    fn sessions(&self) -> Answer<'_, Result<Vec<Session>, BackendError>>;
    fn health(&self) -> Answer<'_, BackendHealth>;
    fn set_serving(&self, serving: Serving) -> Answer<'_, ()>;
}

impl<B: VpnBackend> Erased for B {
    fn allow<'a>(&'a self, names: &'a [CommonName]) -> Answer<'a, Result<(), BackendError>> {
        Box::pin(VpnBackend::allow(self, names))
    }

    fn deny<'a>(&'a self, names: &'a [CommonName]) -> Answer<'a, Result<CutSessions, BackendError>> {
        Box::pin(VpnBackend::deny(self, names))
    }

    fn disconnect<'a>(
        &'a self,
        names: &'a [CommonName],
        parting: Parting,
    ) -> Answer<'a, Result<CutSessions, BackendError>> {
        Box::pin(VpnBackend::disconnect(self, names, parting))
    }

    fn logins(&self) -> watch::Receiver<u64> {
        VpnBackend::logins(self)
    }

    fn reconcile<'a>(&'a self, wanted: &'a BTreeSet<CommonName>) -> Answer<'a, Result<Reconciled, BackendError>> {
        Box::pin(VpnBackend::reconcile(self, wanted))
    }

    fn enforce(&self) -> Answer<'_, Result<CutSessions, BackendError>> {
        Box::pin(VpnBackend::enforce(self))
    }

    fn sessions(&self) -> Answer<'_, Result<Vec<Session>, BackendError>> {
        Box::pin(VpnBackend::sessions(self))
    }

    fn health(&self) -> Answer<'_, BackendHealth> {
        Box::pin(VpnBackend::health(self))
    }

    fn set_serving(&self, serving: Serving) -> Answer<'_, ()> {
        Box::pin(VpnBackend::set_serving(self, serving))
    }
}
