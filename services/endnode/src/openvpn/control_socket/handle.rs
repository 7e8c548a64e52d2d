//! What the rest of the agent asks of OpenVPN.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot, watch};
use vpnmanager_nats::ids::CommonName;

use super::{error::ControlError, replies::Snapshot};
use crate::backend::{CutSessions, Parting, Session, SessionKey};

/// The state of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not connected: the first try is not over.
    Untried,
    /// Not connected, and why, in words.
    Away(String),
    /// OpenVPN runs and does not greet, because another program has its only management session.
    Held,
    /// Connected to the process with this id.
    Up {
        /// OpenVPN's own process id.
        pid: u32,
    },
}

/// The server at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overview {
    /// OpenVPN's process id.
    pub pid: u32,
    /// Its release, such as `2.6.14`.
    pub version: Option<String>,
    /// Whether it accepts clients.
    pub serving: bool,
    /// Since when it has been in this state.
    pub since: DateTime<Utc>,
    /// Clients that have finished their handshake.
    pub sessions: u32,
    /// Who takes places, as of two seconds ago at most; `None` where clients could not be listed.
    pub snapshot: Option<Snapshot>,
    /// Bytes received from clients since it started.
    pub bytes_in: u64,
    /// Bytes sent to clients since it started.
    pub bytes_out: u64,
}

/// Where the answer to one request goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, ControlError>>;

/// One request to the task.
pub(super) enum Request {
    Sessions(Reply<Vec<Session>>),
    Overview(Reply<Overview>),
    Cut {
        names: Vec<CommonName>,
        parting: Parting,
        reply: Reply<CutSessions>,
    },
    End {
        session: SessionKey,
        reply: Reply<Option<String>>,
    },
    Enforce(Reply<CutSessions>),
}

/// Asks OpenVPN through the task's connection. Answers [`ControlError::Away`] at once while there is none.
#[derive(Debug, Clone)]
pub struct ControlHandle {
    pub(super) requests: mpsc::Sender<Request>,
    pub(super) link: watch::Receiver<Link>,
}

impl ControlHandle {
    /// Clients that have finished their handshake.
    pub async fn sessions(&self) -> Result<Vec<Session>, ControlError> {
        self.ask(Request::Sessions).await
    }

    /// The server at a glance.
    pub async fn overview(&self) -> Result<Overview, ControlError> {
        self.ask(Request::Overview).await
    }

    /// Waits until it is connected, at most so long. False when it is not, at once where another program holds OpenVPN's session.
    pub async fn attached(&self, within: Duration) -> bool {
        let mut link = self.link.clone();
        let settled = link.wait_for(|link| !matches!(link, Link::Untried | Link::Away(_)));
        let settled = tokio::time::timeout(within, settled).await;
        settled.is_ok_and(|link| link.is_ok_and(|link| matches!(*link, Link::Up { .. })))
    }

    /// Whether no try to connect is over yet: the agent has just started.
    pub fn is_untried(&self) -> bool {
        *self.link.borrow() == Link::Untried
    }

    /// Ends the sessions of these credentials.
    pub async fn cut(&self, names: Vec<CommonName>, parting: Parting) -> Result<CutSessions, ControlError> {
        self.ask(|reply| Request::Cut { names, parting, reply }).await
    }

    /// Ends one session, and gives its common name; `None` if it has ended.
    pub async fn end(&self, session: SessionKey) -> Result<Option<String>, ControlError> {
        self.ask(|reply| Request::End { session, reply }).await
    }

    /// Ends every session whose credential is not on the allow-list, and those that are to begin again: here with another address, or at the next
    /// server.
    pub async fn enforce(&self) -> Result<CutSessions, ControlError> {
        self.ask(Request::Enforce).await
    }

    /// The state of the connection, now and as it changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| ControlError::Away)?;
        answer.await.map_err(|_| ControlError::Away)?
    }
}

impl Request {
    /// Answers that OpenVPN cannot be asked.
    pub(super) fn away(self) {
        // An asker that has gone does not need its answer.
        match self {
            Self::Sessions(reply) => _ = reply.send(Err(ControlError::Away)),
            Self::Overview(reply) => _ = reply.send(Err(ControlError::Away)),
            Self::End { reply, .. } => _ = reply.send(Err(ControlError::Away)),
            Self::Cut { reply, .. } | Self::Enforce(reply) => _ = reply.send(Err(ControlError::Away)),
        }
    }
}
