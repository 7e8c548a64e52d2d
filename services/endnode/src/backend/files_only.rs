//! `openvpn.mode = none`: the allow-list is kept, no server is watched, no session is ended.

use std::collections::BTreeSet;

use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use super::{
    error::BackendError,
    health::{BackendHealth, BackendState},
    look::Look,
    serving::Serving,
    session::{CutSessions, Parting, SessionKey},
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

    /// Counts logins, of which this one never hears: those of an old listener beside it.
    pub(crate) fn login_counter(&self) -> watch::Sender<u64> {
        self.logins.clone()
    }
}

impl VpnBackend for FilesOnlyBackend {
    async fn allow(&self, names: &[CommonName]) -> Result<Vec<CommonName>, BackendError> {
        Ok(self.allow_list.allow_all(names)?)
    }

    async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        self.allow_list.deny_all(names)?;
        Ok(())
    }

    async fn hold_back_unheld(&self) -> Result<(), BackendError> {
        Ok(self.allow_list.hold_back_unheld()?)
    }

    async fn disconnect(&self, names: &[CommonName], _parting: Parting) -> Result<CutSessions, BackendError> {
        Ok(if names.is_empty() {
            CutSessions::default()
        } else {
            CutSessions::unseen()
        })
    }

    async fn end(&self, _session: SessionKey) -> Result<Option<String>, BackendError> {
        Err(BackendError::NoServer)
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
        Ok(CutSessions::unseen())
    }

    async fn look(&self) -> Result<Look, BackendError> {
        Ok(Look::default())
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.logins.subscribe()
    }

    async fn health(&self) -> BackendHealth {
        BackendHealth::bare(
            BackendState::Absent,
            "OPENVPN_MODE is none: the agent keeps the allow-list, watches no server and ends no session",
        )
    }

    async fn set_serving(&self, _serving: Serving) {}

    fn would_restart(&self) -> Result<(), BackendError> {
        Err(BackendError::NoneToRestart)
    }

    async fn restart(&self) -> Result<(), BackendError> {
        self.would_restart()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_says_that_it_ends_no_session() {
        let folder = tempfile::tempdir().expect("a folder");
        let backend = FilesOnlyBackend::new(AllowList::open(folder.path().join("allow")).expect("a list"));
        let alice: CommonName = "alice.x".parse().expect("a name");

        let ended = backend.disconnect(&[alice], Parting::Halt).await.expect("an answer");
        let nobodys = backend.disconnect(&[], Parting::Halt).await.expect("an answer");
        let enforced = backend.enforce().await.expect("an answer");
        let key = SessionKey {
            cid: 0,
            since: chrono::DateTime::UNIX_EPOCH,
        };

        assert_eq!((ended, enforced), (CutSessions::unseen(), CutSessions::unseen()));
        assert_eq!(nobodys, CutSessions::default());
        assert!(matches!(backend.end(key).await, Err(BackendError::NoServer)));
        assert!(matches!(backend.would_restart(), Err(BackendError::NoneToRestart)));
        assert!(matches!(backend.restart().await, Err(BackendError::NoneToRestart)));
        assert!(backend.health().await.detail.contains("ends no session"));
    }
}
