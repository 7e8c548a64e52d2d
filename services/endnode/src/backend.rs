//! What the agent asks of a VPN server, whichever it is.
//!
//! [`VpnBackend`] has three forms: [`OpenVpnBackend`] beside a real server, [`FilesOnlyBackend`] for a node whose
//! allow-list somebody else reads, and [`FakeBackend`] for tests.

mod fake;
mod files_only;

use std::{collections::BTreeSet, future::Future};

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

pub use self::{fake::FakeBackend, files_only::FilesOnlyBackend};
use crate::allow_list::AllowListError;
pub use crate::allow_list::Reconciled;
pub use crate::openvpn::OpenVpnBackend;
use crate::openvpn::management::ManagementError;

/// A VPN server as the agent sees it: who may log in, who is connected, how it fares.
///
/// Nothing here restarts or reloads the server, and no call disturbs a session that it does not name.
pub trait VpnBackend: Send + Sync + 'static {
    /// Lets these credentials in from their next handshake on. Repeating it changes nothing.
    fn allow(&self, names: &[CommonName]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Refuses these credentials from now on, then ends their sessions. Refusing never depends on the server being
    /// reachable; ending sessions does, and [`CutSessions::pending`] says that [`Self::enforce`] must finish it.
    fn deny(&self, names: &[CommonName]) -> impl Future<Output = Result<CutSessions, BackendError>> + Send;

    /// Ends the sessions of these credentials without refusing them.
    fn disconnect(
        &self,
        names: &[CommonName],
        parting: Parting,
    ) -> impl Future<Output = Result<CutSessions, BackendError>> + Send;

    /// Makes the allow-list equal to `wanted` and says what had to change: anything at all means that somebody edited
    /// it, or that a projection was cut short. Call [`Self::enforce`] after it.
    fn reconcile(&self, wanted: &BTreeSet<CommonName>)
    -> impl Future<Output = Result<Reconciled, BackendError>> + Send;

    /// Ends every session whose credential is not on the allow-list.
    fn enforce(&self) -> impl Future<Output = Result<CutSessions, BackendError>> + Send;

    /// Who may log in.
    fn allowed(&self) -> impl Future<Output = Result<BTreeSet<CommonName>, BackendError>> + Send;

    /// Who is connected.
    fn sessions(&self) -> impl Future<Output = Result<Vec<Session>, BackendError>> + Send;

    /// Changes with each login, as soon as its handshake is over.
    fn logins(&self) -> watch::Receiver<u64>;

    /// How the server fares. Always answers.
    fn health(&self) -> impl Future<Output = BackendHealth> + Send;

    /// Says whether this node should answer clients. See [`Serving`].
    fn set_serving(&self, serving: Serving) -> impl Future<Output = ()> + Send;
}

/// Whether this node should answer clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// Not known yet: leave alone what runs, start nothing.
    Undecided,
    /// The allow-list is complete: the server should run.
    Yes,
    /// This node must not serve: stop the server so that its clients move on by themselves.
    No,
}

/// What a client is told when its session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// Stop, and do not come back.
    Halt,
    /// Log in again here.
    Reconnect,
    /// Log in again at the next `remote` of the profile. The session is not dropped at once: the client has 5 s to hear of it.
    NextRemote,
}

/// How many sessions were ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutSessions {
    /// Sessions that were connected and are not any more.
    pub count: u32,
    /// The server could not be asked: sessions may still be alive, and must be cut by [`VpnBackend::enforce`].
    pub pending: bool,
}

/// One connected client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Common name of its certificate, as the server reports it. With an operator's own CA it may be no [`CommonName`].
    pub common_name: String,
    /// The server's number for this session; counts from 0 again when the server restarts.
    pub cid: u64,
    /// Where it dials from: address and port.
    pub real_address: String,
    /// The address that it has inside the VPN, empty while it has none.
    pub virtual_address: String,
    /// Bytes received from the client since it connected.
    pub bytes_in: u64,
    /// Bytes sent to the client since it connected.
    pub bytes_out: u64,
    /// When it connected.
    pub since: DateTime<Utc>,
}

/// Whether the server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendState {
    /// It answers and accepts clients.
    Up,
    /// It was started moments ago and does not answer yet.
    Starting,
    /// It should serve, and does not.
    Down,
    /// It is not meant to serve: the snapshot is incomplete, or this node was told to stop.
    Stopped,
    /// No server is looked after here.
    Absent,
}

/// How the server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendHealth {
    /// Whether it serves.
    pub state: BackendState,
    /// Its process, when there is one.
    pub pid: Option<u32>,
    /// Its release, such as `2.6.14`.
    pub version: Option<String>,
    /// Since when that process has served.
    pub since: Option<DateTime<Utc>>,
    /// Connected clients.
    pub sessions: u32,
    /// Clients that fit at once: addresses of the network, or the limit on clients where that is lower. 0 = not known.
    pub capacity: u32,
    /// Bytes received from clients since the server started.
    pub bytes_in: u64,
    /// Bytes sent to clients since the server started.
    pub bytes_out: u64,
    /// How often the agent had to start it again since the agent started.
    pub restarts: u32,
    /// In words: what is wrong, or worth knowing. Empty when there is nothing to say.
    pub detail: String,
}

impl BackendHealth {
    /// The health of a server of which nothing but its state is known.
    pub fn bare(state: BackendState, detail: impl Into<String>) -> Self {
        Self {
            state,
            pid: None,
            version: None,
            since: None,
            sessions: 0,
            capacity: 0,
            bytes_in: 0,
            bytes_out: 0,
            restarts: 0,
            detail: detail.into(),
        }
    }
}

/// A backend could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The allow-list could not be read or written.
    #[error("allow-list not usable")]
    AllowList(#[from] AllowListError),
    /// The server did not answer, or refused.
    #[error("VPN server did not do as asked")]
    Management(#[from] ManagementError),
}
