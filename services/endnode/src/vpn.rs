//! The node's VPN server, whichever it is, and the old listener beside it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use crate::{
    allow_list::Reconciled,
    backend::{
        BackendError, BackendHealth, CutSessions, FakeBackend, FilesOnlyBackend, Look, Parting, Serving, SessionKey,
        VpnBackend,
    },
    faults::{all_of, with_detail},
    old_server::{OldHealth, OldListener},
    openvpn::{OpenVpnBackend, is_at_old_listener},
};

/// Any of the backends, so that nothing else here is generic over them, with the old listener where the node has one. Cheap to clone; all clones
/// are the same server.
///
/// As a [`VpnBackend`] it lets in, refuses and disconnects credentials, which the old listener does not know. What is asked of all sessions, of the
/// health and of serving is asked of both.
#[derive(Debug, Clone)]
pub struct Vpn {
    own: Own,
    old: Option<OldListener>,
    /// Sessions that were ended.
    cuts: Arc<AtomicU64>,
}

#[derive(Debug, Clone)]
enum Own {
    /// Real OpenVPNs.
    OpenVpn(OpenVpnBackend),
    /// Only the allow-list: no server is watched.
    FilesOnly(FilesOnlyBackend),
    /// In memory, for tests.
    Fake(FakeBackend),
}

impl From<OpenVpnBackend> for Vpn {
    fn from(backend: OpenVpnBackend) -> Self {
        Self::of(Own::OpenVpn(backend))
    }
}

impl From<FilesOnlyBackend> for Vpn {
    fn from(backend: FilesOnlyBackend) -> Self {
        Self::of(Own::FilesOnly(backend))
    }
}

impl From<FakeBackend> for Vpn {
    fn from(backend: FakeBackend) -> Self {
        Self::of(Own::Fake(backend))
    }
}

macro_rules! ask {
    ($vpn:expr, $backend:ident => $answer:expr) => {
        match &$vpn.own {
            Own::OpenVpn($backend) => $answer,
            Own::FilesOnly($backend) => $answer,
            Own::Fake($backend) => $answer,
        }
    };
}

impl Vpn {
    fn of(own: Own) -> Self {
        Self {
            own,
            old: None,
            cuts: Arc::default(),
        }
    }

    /// With the old listener.
    #[must_use]
    pub fn with_old(self, old: OldListener) -> Self {
        Self { old: Some(old), ..self }
    }

    /// The old listener, if the node has one.
    pub fn old(&self) -> Option<&OldListener> {
        self.old.as_ref()
    }

    /// Sessions that were ended on it since the agent started.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Counts what was ended.
    fn count(&self, cut: Result<CutSessions, BackendError>) -> Result<CutSessions, BackendError> {
        cut.inspect(|cut| {
            self.cuts.fetch_add(u64::from(cut.count), Ordering::Relaxed);
        })
    }

    /// What counts the logins, for an old listener beside it.
    pub(crate) fn login_counter(&self) -> watch::Sender<u64> {
        match &self.own {
            Own::OpenVpn(backend) => backend.login_counter(),
            Own::FilesOnly(backend) => backend.login_counter(),
            Own::Fake(_) => watch::Sender::default(),
        }
    }

    /// What was told of its sessions last, where it cannot be asked.
    fn last_look(&self) -> Look {
        match &self.own {
            Own::OpenVpn(backend) => backend.last_look(),
            Own::FilesOnly(_) | Own::Fake(_) => Look::default(),
        }
    }
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
        let cut = ask!(self, backend => backend.disconnect(names, parting).await);
        self.count(cut)
    }

    async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        match &self.old {
            Some(old) if is_at_old_listener(session.cid) => old.backend().end(session).await,
            Some(_) | None => ask!(self, backend => backend.end(session).await),
        }
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
        let own = async { self.count(ask!(self, backend => backend.enforce().await)) };
        let Some(old) = &self.old else {
            return own.await;
        };
        let of_old = async { self.count(old.enforce().await) };
        let (own, of_old) = tokio::join!(own, of_old);
        Ok(own?.and(of_old?))
    }

    async fn look(&self) -> Result<Look, BackendError> {
        let own = async { ask!(self, backend => backend.look().await) };
        let Some(old) = &self.old else {
            return own.await;
        };
        // One that cannot be asked hides nobody who is with the other one.
        match tokio::join!(own, old.backend().look()) {
            (Ok(own), Ok(of_old)) => Ok(own.and(of_old)),
            (Ok(own), Err(_)) => Ok(own.and(old.backend().last_look())),
            (Err(_), Ok(of_old)) => Ok(self.last_look().and(of_old)),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn logins(&self) -> watch::Receiver<u64> {
        ask!(self, backend => backend.logins())
    }

    async fn health(&self) -> BackendHealth {
        let own = async { ask!(self, backend => backend.health().await) };
        let Some(old) = &self.old else {
            return own.await;
        };
        let (own, of_old) = tokio::join!(own, old.health());
        with_old(own, of_old)
    }

    async fn set_serving(&self, serving: Serving) {
        ask!(self, backend => backend.set_serving(serving).await);
        if let Some(old) = &self.old {
            old.backend().set_serving(serving).await;
        }
    }

    fn would_restart(&self) -> Result<(), BackendError> {
        ask!(self, backend => backend.would_restart())
    }

    async fn restart(&self) -> Result<(), BackendError> {
        ask!(self, backend => backend.restart().await)
    }
}

/// The health of the server, with what the old listener lacks. Clients of that are not counted: they take nobody's place here, and no drain moves
/// them to another node.
fn with_old(own: BackendHealth, old: OldHealth) -> BackendHealth {
    BackendHealth {
        fault: all_of([own.fault, old.fault]),
        detail: with_detail(own.detail, old.detail),
        ..own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendState;

    #[test]
    fn what_the_old_listener_lacks_is_said_behind_what_the_server_does() {
        let old = |fault: Option<&str>, detail: Option<&str>| OldHealth {
            fault: fault.map(str::to_owned),
            detail: detail.map(str::to_owned),
        };
        let own = |fault: Option<&str>, detail: &str| BackendHealth {
            sessions: 3,
            fault: fault.map(str::to_owned),
            ..BackendHealth::bare(BackendState::Up, detail)
        };
        for (own, old, fault, detail) in [
            (own(None, ""), old(None, None), None, ""),
            (own(None, ""), old(Some("it died"), None), Some("it died"), ""),
            (
                own(Some("a fault"), "a remark"),
                old(Some("it died"), Some("left out: up")),
                Some("a fault; it died"),
                "a remark; left out: up",
            ),
            (own(None, ""), old(None, Some("left out: up")), None, "left out: up"),
        ] {
            let whole = with_old(own, old);
            assert_eq!((whole.fault.as_deref(), whole.detail.as_str()), (fault, detail));
            assert_eq!((whole.state, whole.sessions), (BackendState::Up, 3));
        }
    }
}
