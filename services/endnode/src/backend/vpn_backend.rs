//! What the agent asks of a VPN server, whichever it is.

use std::{collections::BTreeSet, future::Future};

use tokio::sync::watch;
use vpnmanager_nats::ids::CommonName;

use super::{
    error::BackendError,
    health::BackendHealth,
    look::Look,
    serving::Serving,
    session::{CutSessions, Parting, Session, SessionKey},
};
use crate::allow_list::Reconciled;

/// A VPN server as the agent sees it: who may log in, who is connected, how healthy it is.
///
/// Nothing but [`Self::restart`] restarts or reloads the server, and no other call disturbs a session that it does not name.
pub trait VpnBackend: Send + Sync + 'static {
    /// Lets these credentials in from their next handshake on, and gives those that are held back: members of groups who are refused until the
    /// firewall holds their rules. Repeating it changes nothing.
    fn allow(&self, names: &[CommonName]) -> impl Future<Output = Result<Vec<CommonName>, BackendError>> + Send;

    /// Refuses these credentials from now on. It needs no reachable server and waits for none; [`Self::disconnect`] ends their sessions.
    fn deny(&self, names: &[CommonName]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Refuses those with fixed addresses whom the firewall does not hold, until it does; they are held back, as by [`Self::allow`].
    fn hold_back_unheld(&self) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Ends the sessions of these credentials without refusing them. Where the server cannot be asked, [`CutSessions::rest`] says whether
    /// [`Self::enforce`] will finish it.
    fn disconnect(
        &self,
        names: &[CommonName],
        parting: Parting,
    ) -> impl Future<Output = Result<CutSessions, BackendError>> + Send;

    /// Ends this one session without refusing its credential, and gives its common name; `None` if it has ended. Other sessions of the
    /// credential stay. Its client is told to stop ([`Parting::Halt`]): one that came back by itself would take the place of another device of
    /// its user, which was ended for it. A client that does not listen is gone after 5 s at most.
    fn end(&self, session: SessionKey) -> impl Future<Output = Result<Option<String>, BackendError>> + Send;

    /// The credentials that the allow-list has otherwise than `wanted`. Changes nothing.
    fn compare(
        &self,
        wanted: BTreeSet<CommonName>,
    ) -> impl Future<Output = Result<BTreeSet<CommonName>, BackendError>> + Send;

    /// Of these credentials, refuses those that are not `wanted`, lets in the others, and says what had to change: a change means that
    /// somebody edited the list, or that a projection was cut short. Call [`Self::enforce`] after it.
    fn mend(
        &self,
        names: &BTreeSet<CommonName>,
        wanted: &BTreeSet<CommonName>,
    ) -> impl Future<Output = Result<Reconciled, BackendError>> + Send;

    /// Ends every session whose credential is not on the allow-list, and those that are to begin again, here or elsewhere, which are counted apart.
    fn enforce(&self) -> impl Future<Output = Result<CutSessions, BackendError>> + Send;

    /// A look at who is connected: at nobody where the agent knows that no server runs. An error where there are servers and none of them can be
    /// asked.
    fn look(&self) -> impl Future<Output = Result<Look, BackendError>> + Send;

    /// The clients of [`Self::look`], also those that a server told of before which cannot be asked now.
    fn sessions(&self) -> impl Future<Output = Result<Vec<Session>, BackendError>> + Send {
        let look = self.look();
        async move { look.await.map(|look| look.sessions) }
    }

    /// Changes with each login, as soon as its handshake is over.
    fn logins(&self) -> watch::Receiver<u64>;

    /// The server's health. Always answers.
    fn health(&self) -> impl Future<Output = BackendHealth> + Send;

    /// Says whether this node should answer clients. See [`Serving`].
    fn set_serving(&self, serving: Serving) -> impl Future<Output = ()> + Send;

    /// Whether [`Self::restart`] would restart the server at this moment. Changes nothing.
    ///
    /// # Errors
    /// Those of [`Self::restart`].
    fn would_restart(&self) -> Result<(), BackendError>;

    /// Restarts the server with the files that it has: all sessions end, and who may log in stays as it is. Returns once that is begun. Until it
    /// has ended, [`Self::health`] does not say that the server is up. While one goes on, another one is the same.
    ///
    /// # Errors
    /// The agent does not run the server, or would not start it again: nothing was done.
    fn restart(&self) -> impl Future<Output = Result<(), BackendError>> + Send;
}
