//! The VPN backend beside real OpenVPNs: one for each listener of the node, and one allow-list for all.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;
use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use super::{
    joint_health::joint_health,
    joint_sessions::{LastTold, cut_on_all},
    lint::Finding,
    managed_tunnel::ManagedTunnel,
    managed_tunnels::ManagedTunnels,
    restart::Restarts,
    server::Server,
    session_numbers::key_of_one,
};
use crate::{
    account::Account,
    allow_list::{AllowList, AllowListError, Reconciled},
    backend::{BackendError, BackendHealth, BackendState, CutSessions, Look, Parting, Serving, SessionKey, VpnBackend},
    faults::all_of,
};

/// The OpenVPNs of a node as a backend. Clones share them.
///
/// All are asked at once: one that does not answer keeps nobody from being cut on the others.
#[derive(Debug, Clone)]
pub struct OpenVpnBackend {
    pub(super) allow_list: AllowList,
    /// In the order of the listeners; at least one.
    pub(super) servers: Arc<[Server]>,
    /// The number of the first one among all OpenVPNs of the node.
    pub(super) first_number: usize,
    /// What they told of their sessions.
    pub(super) last_told: LastTold,
    pub(super) serving: watch::Sender<Serving>,
    /// Counts the logins of all.
    pub(super) logins: watch::Sender<u64>,
    /// Of managed servers: who must be able to read the allow-list. The check of an operator's configuration knows its own.
    pub(super) account: Option<Account>,
    /// Of managed servers: restarts them.
    pub(super) restarts: Option<Restarts>,
}

impl OpenVpnBackend {
    /// The tunnels of servers that the agent runs, in the order of the listeners.
    pub fn tunnels(&self) -> Option<ManagedTunnels> {
        let managed = self.servers.iter().filter_map(Server::managed);
        let tunnels: Vec<ManagedTunnel> = managed.filter_map(|managed| managed.tunnel.clone()).collect();
        (!tunnels.is_empty()).then(|| ManagedTunnels::new(tunnels))
    }

    /// What is wrong with the operator's own configuration.
    pub fn findings(&self) -> Vec<Finding> {
        self.servers.iter().flat_map(Server::findings).collect()
    }

    /// What the servers told of their sessions last, as where none of them can be asked.
    pub(crate) fn last_look(&self) -> Look {
        self.last_told.unasked(self.servers.len())
    }

    /// Counts the logins of all; whoever has it may count those of others too.
    pub(crate) fn login_counter(&self) -> watch::Sender<u64> {
        self.logins.clone()
    }

    /// What restarts the servers, unless they are not the agent's, or would not be started again.
    fn restartable(&self) -> Result<&Restarts, BackendError> {
        let restarts = self.restarts.as_ref().ok_or(BackendError::NotOurs)?;
        let serving = *self.serving.borrow();
        match serving {
            Serving::Yes => Ok(restarts),
            Serving::Undecided | Serving::No => Err(BackendError::NotServing),
        }
    }

    /// Why everybody is refused, when a folder above the allow-list was closed while OpenVPN runs. A few looks at folders: cheap
    /// enough for each heartbeat.
    fn closed_folder(&self) -> Option<String> {
        match self.allow_list.check_reachable(self.account.as_ref()?) {
            Err(closed @ AllowListError::Unreachable { .. }) => Some(closed.to_string()),
            // A lost folder is made again by the next repair.
            Ok(()) | Err(_) => None,
        }
    }
}

impl VpnBackend for OpenVpnBackend {
    async fn allow(&self, names: &[CommonName]) -> Result<Vec<CommonName>, BackendError> {
        Ok(self.allow_list.allow_all(names)?)
    }

    async fn deny(&self, names: &[CommonName]) -> Result<(), BackendError> {
        Ok(self.allow_list.deny_all(names)?)
    }

    async fn hold_back_unheld(&self) -> Result<(), BackendError> {
        Ok(self.allow_list.hold_back_unheld()?)
    }

    async fn disconnect(&self, names: &[CommonName], parting: Parting) -> Result<CutSessions, BackendError> {
        if names.is_empty() {
            return Ok(CutSessions::default());
        }
        let asked: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.disconnect(names, parting))
            .collect();
        cut_on_all(self.first_number, join_all(asked).await)
    }

    async fn end(&self, session: SessionKey) -> Result<Option<String>, BackendError> {
        let (number, session) = key_of_one(session);
        let server = number.checked_sub(self.first_number);
        match server.and_then(|server| self.servers.get(server)) {
            Some(server) => server.end(session).await,
            // Of a listener that the node had.
            None => Ok(None),
        }
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
        let asked: Vec<_> = self.servers.iter().map(Server::enforce).collect();
        cut_on_all(self.first_number, join_all(asked).await)
    }

    async fn look(&self) -> Result<Look, BackendError> {
        let asked: Vec<_> = self.servers.iter().map(Server::sessions).collect();
        self.last_told.joint_look(join_all(asked).await)
    }

    fn logins(&self) -> watch::Receiver<u64> {
        self.logins.subscribe()
    }

    async fn health(&self) -> BackendHealth {
        let asked: Vec<_> = self.servers.iter().map(Server::health).collect();
        let health = joint_health(join_all(asked).await);
        let health = match self.restarts.as_ref().is_some_and(Restarts::is_going_on) {
            true => restarting(health),
            false => health,
        };
        with_closed_folder(self.closed_folder(), health)
    }

    async fn set_serving(&self, serving: Serving) {
        self.serving.send_replace(serving);
    }

    fn would_restart(&self) -> Result<(), BackendError> {
        self.restartable().map(|_restarts| ())
    }

    async fn restart(&self) -> Result<(), BackendError> {
        self.restartable().map(Restarts::ask)
    }
}

/// With why everybody is refused, where that is so: before all else that is wrong, and hiding none of it.
fn with_closed_folder(closed: Option<String>, health: BackendHealth) -> BackendHealth {
    BackendHealth {
        fault: all_of([closed, health.fault]),
        ..health
    }
}

/// The health of a server while a restart goes on: it is not up before all listeners are back. One that is down says why.
fn restarting(health: BackendHealth) -> BackendHealth {
    match health.state {
        BackendState::Down => health,
        BackendState::Up | BackendState::Starting | BackendState::Stopped | BackendState::Absent => BackendHealth {
            state: BackendState::Starting,
            detail: "OpenVPN restarts, as management asked".to_owned(),
            ..health
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_hides_nothing_else_that_is_wrong() {
        let fault = |text: &str| Some(text.to_owned());
        for (closed, other, expected) in [
            (None, None, None),
            (fault("closed"), None, fault("closed")),
            (None, fault("no place is left"), fault("no place is left")),
            (
                fault("closed"),
                fault("no place is left"),
                fault("closed; no place is left"),
            ),
        ] {
            let health = BackendHealth {
                fault: other,
                ..BackendHealth::bare(BackendState::Up, "")
            };
            assert_eq!(with_closed_folder(closed, health).fault, expected);
        }
    }
}
