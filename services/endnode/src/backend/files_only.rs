//! `openvpn.mode = none`: the allow-list is kept, no server is watched.

use std::collections::BTreeSet;

use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use super::{
    error::BackendError,
    health::{BackendHealth, BackendState},
    serving::Serving,
    session::{CutSessions, Parting, Session, SessionKey},
    vpn_backend::VpnBackend,
};
use crate::allow_list::{AllowList, Reconciled};

/// Keeps the allow-list for a server that the agent cannot see. It never ends a session.
#[derive(Debug, Clone)]
pub struct FilesOnlyBackend {
    allow_list: AllowList,
    logins: watch::Sender<u64>,
}

impl FilesOnlyBackend {
    /// A backend over this allow-list.
    pub fn new(allow_list: AllowList) -> Self {
        Self {
            allow_list,
            logins: watch::Sender::default(),
        }
    }
}

impl VpnBackend for FilesOnlyBackend {
    async fn allow(&self, names: &[CommonName]) -> Result<(), BackendError> {
        self.allow_list.allow_all(names)?;
        Ok(())
    }

    async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        self.allow_list.deny_all(names)?;
        Ok(())
    }

    async fn disconnect(&self, _names: &[CommonName], _parting: Parting) -> Result<CutSessions, BackendError> {
        Ok(CutSessions::default())
    }

    async fn end(&self, _session: SessionKey) -> Result<Option<String>, BackendError> {
        Ok(None)
    }

    async fn compare(&self, wanted: BTreeSet<CommonName>) -> Result<BTreeSet<CommonName>, BackendError> {
        Ok(self.allow_list.compare_beside(wanted).await?)
    }

    async fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> Result<Reconciled, BackendError> {
        Ok(self.allow_list.mend(names, wanted)?)
    }

    async fn enforce(&self) -> Result<CutSessions, BackendError> {
        Ok(CutSessions::default())
    }

    async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        Ok(Vec::new())
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.logins.subscribe()
    }

    async fn health(&self) -> BackendHealth {
        BackendHealth::bare(
            BackendState::Absent,
            "openvpn.mode is none: the allow-list is kept, no server is watched",
        )
    }

    async fn set_serving(&self, _serving: Serving) {}
}
