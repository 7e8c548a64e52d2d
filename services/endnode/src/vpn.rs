//! The node's VPN server, whichever it is.

use std::collections::BTreeSet;

use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use crate::{
    allow_list::Reconciled,
    backend::{
        BackendError, BackendHealth, CutSessions, FakeBackend, FilesOnlyBackend, Look, Parting, Serving, SessionKey,
        VpnBackend,
    },
    openvpn::OpenVpnBackend,
};

/// Any of the backends, so that nothing else here is generic over them. Cheap to clone; all clones are the same server.
#[derive(Debug, Clone)]
pub enum Vpn {
    /// A real OpenVPN.
    OpenVpn(OpenVpnBackend),
    /// Only the allow-list: no server is watched.
    FilesOnly(FilesOnlyBackend),
    /// In memory, for tests.
    Fake(FakeBackend),
}

macro_rules! ask {
    ($vpn:ident, $backend:ident => $answer:expr) => {
        match $vpn {
            Vpn::OpenVpn($backend) => $answer,
            Vpn::FilesOnly($backend) => $answer,
            Vpn::Fake($backend) => $answer,
        }
    };
}

impl VpnBackend for Vpn {
    async fn allow(&self, names: &[CommonName]) -> Result<Vec<CommonName>, BackendError> {
        ask!(self, backend => backend.allow(names).await)
    }

    async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        ask!(self, backend => backend.deny(names).await)
    }

    async fn hold_back_unheld(&self) -> Result<(), BackendError> {
        ask!(self, backend => backend.hold_back_unheld().await)
    }

    async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        ask!(self, backend => backend.disconnect(names, parting).await)
    }

    async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        ask!(self, backend => backend.end(session).await)
    }

    async fn compare(&self, wanted: BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, BackendError> {
        ask!(self, backend => backend.compare(wanted).await)
    }

    async fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> Result<Reconciled, BackendError> {
        ask!(self, backend => backend.mend(names, wanted).await)
    }

    async fn enforce(&self) -> Result<CutSessions, BackendError> {
        ask!(self, backend => backend.enforce().await)
    }

    async fn look(&self) -> Result<Look, BackendError> {
        ask!(self, backend => backend.look().await)
    }

    fn logins(&self) -> watch::Receiver<u64> {
        ask!(self, backend => backend.logins())
    }

    async fn health(&self) -> BackendHealth {
        ask!(self, backend => backend.health().await)
    }

    async fn set_serving(&self, serving: Serving) {
        ask!(self, backend => backend.set_serving(serving).await);
    }

    fn would_restart(&self) -> Result<(), BackendError> {
        ask!(self, backend => backend.would_restart())
    }

    async fn restart(&self) -> Result<(), BackendError> {
        ask!(self, backend => backend.restart().await)
    }
}
