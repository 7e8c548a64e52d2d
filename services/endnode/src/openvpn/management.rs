//! The agent's one long connection to OpenVPN's management socket, kept by a task and shared through a handle.
//!
//! The task is a plain observer: OpenVPN serves on when the agent is gone. It ends the session of whoever logs in without
//! being on the allow-list, at once on login and for all sessions whenever it has (re)connected.

mod error;

use std::{collections::BTreeSet, error::Error, path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use vpnmanager_nats::ids::CommonName;

pub use self::error::ManagementError;
pub(crate) use self::error::in_words;
use super::connection::{Connection, Event, ServerState};
use crate::{
    allow_list::AllowList,
    backend::{CutSessions, Parting, Session},
};

/// How long OpenVPN may take to greet or to reply. It answers in under a millisecond.
const REPLY_WITHIN: Duration = Duration::from_secs(3);
/// OpenVPN sends a client its last message when its event loop next finds nothing else to do. On a busy machine the order
/// to drop the session could come first, and leave an honest client waiting for its ping timeout.
const FAREWELL: Duration = Duration::from_millis(25);
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_millis(500);
const QUEUE: usize = 64;

/// The state of the connection, for whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not connected, and why in words.
    Away(String),
    /// Connected to the process with this id.
    Up {
        /// OpenVPN's own process id.
        pid: u32,
    },
}

/// The server at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// OpenVPN's process id.
    pub pid: u32,
    /// Its release, such as `2.6.14`.
    pub version: Option<String>,
    /// Whether it accepts clients.
    pub serving: bool,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Clients that have finished their handshake.
    pub sessions: u32,
    /// Bytes received from clients since it started.
    pub bytes_in: u64,
    /// Bytes sent to clients since it started.
    pub bytes_out: u64,
}

type Reply<T> = oneshot::Sender<Result<T, ManagementError>>;

enum Request {
    Sessions(Reply<Vec<Session>>),
    Overview(Reply<Overview>),
    Cut {
        names: Vec<CommonName>,
        parting: Parting,
        reply: Reply<CutSessions>,
    },
    Enforce(Reply<CutSessions>),
}

/// Asks OpenVPN through the task's connection. Answers [`ManagementError::Away`] at once while there is none.
#[derive(Debug, Clone)]
pub struct ManagementHandle {
    requests: mpsc::Sender<Request>,
    link: watch::Receiver<Link>,
    logins: watch::Receiver<u64>,
}

/// Keeps the connection.
#[derive(Debug)]
pub struct ManagementTask {
    socket: PathBuf,
    allow_list: AllowList,
    requests: mpsc::Receiver<Request>,
    link: watch::Sender<Link>,
    logins: watch::Sender<u64>,
}

/// A handle and the task behind it, for this socket and this allow-list.
pub fn management(socket: PathBuf, allow_list: AllowList) -> (ManagementHandle, ManagementTask) {
    let (sender, requests) = mpsc::channel(QUEUE);
    let (link, watched) = watch::channel(Link::Away("not connected yet".to_owned()));
    let logins = watch::Sender::default();
    let handle = ManagementHandle {
        requests: sender,
        link: watched,
        logins: logins.subscribe(),
    };
    (
        handle,
        ManagementTask {
            socket,
            allow_list,
            requests,
            link,
            logins,
        },
    )
}

impl ManagementHandle {
    /// Clients that have finished their handshake.
    pub async fn sessions(&self) -> Result<Vec<Session>, ManagementError> {
        self.ask(Request::Sessions).await
    }

    /// The server at a glance.
    pub async fn overview(&self) -> Result<Overview, ManagementError> {
        self.ask(Request::Overview).await
    }

    /// Ends the sessions of these credentials.
    pub async fn cut(&self, names: Vec<CommonName>, parting: Parting) -> Result<CutSessions, ManagementError> {
        self.ask(|reply| Request::Cut { names, parting, reply }).await
    }

    /// Ends the sessions of all who are not on the allow-list.
    pub async fn enforce(&self) -> Result<CutSessions, ManagementError> {
        self.ask(Request::Enforce).await
    }

    /// The state of the connection, now and as it changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Changes with each login.
    pub fn logins(&self) -> watch::Receiver<u64> {
        self.logins.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, ManagementError> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .send(request(reply))
            .await
            .map_err(|_| ManagementError::Away)?;
        answer.await.map_err(|_| ManagementError::Away)?
    }
}

impl ManagementTask {
    /// Connects, serves the handles, connects again, until cancelled. OpenVPN does not notice any of it.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut retry_after = RETRY_FIRST;
        while !cancel.is_cancelled() {
            let failure = match self.connect(&cancel).await {
                None => return,
                Some(Ok((connection, pid))) => {
                    info!(openvpn.pid = pid, "Attached to OpenVPN's management socket");
                    retry_after = RETRY_FIRST;
                    self.link.send_replace(Link::Up { pid });
                    match self.serve(connection, &cancel).await {
                        Ok(()) => return,
                        Err(failure) => {
                            warn!(error = &failure as &dyn Error, "Lost OpenVPN's management connection");
                            failure
                        }
                    }
                }
                Some(Err(failure)) => failure,
            };
            self.link.send_replace(Link::Away(in_words(&failure)));
            if self.stay_away(retry_after, &cancel).await.is_none() {
                return;
            }
            retry_after = (retry_after * 2).min(RETRY_MOST);
        }
    }

    /// None when cancelled.
    async fn connect(&mut self, cancel: &CancellationToken) -> Option<Result<(Connection, u32), ManagementError>> {
        let attempt = async {
            let mut connection = Connection::open(&self.socket, REPLY_WITHIN).await?;
            let pid = connection.pid().await?;
            Ok((connection, pid))
        };
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return None,
                outcome = &mut attempt => return Some(outcome),
                request = self.requests.recv() => request?.away(),
            }
        }
    }

    /// None when cancelled.
    async fn stay_away(&mut self, time: Duration, cancel: &CancellationToken) -> Option<()> {
        let pause = sleep(time);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return None,
                () = &mut pause => return Some(()),
                request = self.requests.recv() => request?.away(),
            }
        }
    }

    /// Ok when cancelled.
    async fn serve(&mut self, mut connection: Connection, cancel: &CancellationToken) -> Result<(), ManagementError> {
        spared(self.enforce(&mut connection).await)?;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                request = self.requests.recv() => match request {
                    Some(request) => self.answer(request, &mut connection).await?,
                    None => return Ok(()),
                },
                event = connection.event() => match event? {
                    Event::Established { common_name } => {
                        self.judge(&common_name, &mut connection).await?;
                        self.logins.send_modify(|logins| *logins += 1);
                    }
                    Event::Other => {}
                },
            }
        }
    }

    /// An error when the connection is lost with it; the asker then hears that it is away.
    async fn answer(&self, request: Request, connection: &mut Connection) -> Result<(), ManagementError> {
        match request {
            Request::Sessions(reply) => hand_over(reply, connection.sessions().await),
            Request::Overview(reply) => hand_over(reply, overview(connection).await),
            Request::Cut { names, parting, reply } => hand_over(reply, cut(connection, &names, parting).await),
            Request::Enforce(reply) => hand_over(reply, self.enforce(connection).await),
        }
    }

    /// Ends the session of a client that has just logged in, unless it is allowed.
    async fn judge(&self, common_name: &str, connection: &mut Connection) -> Result<(), ManagementError> {
        match self.is_allowed(common_name) {
            Ok(true) => Ok(()),
            Ok(false) => spared(self.enforce(connection).await),
            Err(error) => spared::<()>(Err(error)),
        }
    }

    async fn enforce(&self, connection: &mut Connection) -> Result<CutSessions, ManagementError> {
        let mut strangers = Vec::new();
        for session in connection.sessions().await? {
            if !self.is_allowed(&session.common_name)? {
                strangers.push(session);
            }
        }
        for session in &strangers {
            warn!(credential.common_name = %session.common_name, session.cid, "Cutting a session that is not allowed");
        }
        tell(connection, &strangers, Parting::Halt).await?;
        // A name that is not ours may hold blanks, which `kill` would take for the end of the name.
        for session in strangers
            .iter()
            .filter(|session| session.common_name.parse::<CommonName>().is_ok())
        {
            connection.kill(&session.common_name).await?;
        }
        Ok(CutSessions {
            count: count(strangers.len()),
            pending: false,
        })
    }

    fn is_allowed(&self, common_name: &str) -> Result<bool, ManagementError> {
        match common_name.parse::<CommonName>() {
            Ok(name) => self.allow_list.contains(&name).map_err(ManagementError::AllowList),
            Err(_) => Ok(false),
        }
    }
}

impl Request {
    fn away(self) {
        // An asker that has gone does not need its answer.
        match self {
            Self::Sessions(reply) => _ = reply.send(Err(ManagementError::Away)),
            Self::Overview(reply) => _ = reply.send(Err(ManagementError::Away)),
            Self::Cut { reply, .. } | Self::Enforce(reply) => _ = reply.send(Err(ManagementError::Away)),
        }
    }
}

/// First every client is told how to part, then those that should stop are dropped: an honest one ends by itself, a deaf one is
/// cut off. `kill` goes out for every name, also for one that no session was seen of: a handshake may end between the two.
/// A client that is only moved is not dropped: OpenVPN repeats the message until it is heard, and ends the session after 5 s.
async fn cut(
    connection: &mut Connection,
    names: &[CommonName],
    parting: Parting,
) -> Result<CutSessions, ManagementError> {
    let wanted: BTreeSet<&str> = names.iter().map(CommonName::as_str).collect();
    let mut sessions = connection.sessions().await?;
    sessions.retain(|session| wanted.contains(session.common_name.as_str()));
    match parting {
        Parting::Halt | Parting::Reconnect => tell(connection, &sessions, parting).await?,
        Parting::NextRemote => {
            for session in &sessions {
                connection.tell(session.cid, parting).await?;
            }
            return Ok(CutSessions {
                count: count(sessions.len()),
                pending: false,
            });
        }
    }
    let mut unseen = 0;
    for name in wanted {
        let killed = connection.kill(name).await?;
        let was_seen = sessions.iter().any(|session| session.common_name == name);
        unseen += usize::from(killed && !was_seen);
    }
    debug!(sessions.seen = sessions.len(), sessions.unseen = unseen, "Cut sessions");
    Ok(CutSessions {
        count: count(sessions.len() + unseen),
        pending: false,
    })
}

/// Tells clients how to part, and gives OpenVPN the time to send it.
async fn tell(connection: &mut Connection, sessions: &[Session], parting: Parting) -> Result<(), ManagementError> {
    for session in sessions {
        connection.tell(session.cid, parting).await?;
    }
    if !sessions.is_empty() {
        sleep(FAREWELL).await;
    }
    Ok(())
}

async fn overview(connection: &mut Connection) -> Result<Overview, ManagementError> {
    let pid = connection.pid().await?;
    let ServerState { serving, since } = connection.state().await?;
    let load = connection.load().await?;
    let version = connection.version().await?;
    let sessions = u32::try_from(load.sessions).unwrap_or(u32::MAX);
    Ok(Overview {
        pid,
        version,
        serving,
        since,
        sessions,
        bytes_in: load.bytes_in,
        bytes_out: load.bytes_out,
    })
}

/// Gives the asker its answer, or keeps the failure when it costs the connection.
fn hand_over<T>(reply: Reply<T>, outcome: Result<T, ManagementError>) -> Result<(), ManagementError> {
    let (answer, lost) = match outcome {
        Err(error) if !error.spares_the_connection() => (Err(ManagementError::Away), Err(error)),
        Ok(_) | Err(_) => (outcome, Ok(())),
    };
    // An asker that has gone does not need its answer.
    _ = reply.send(answer);
    lost
}

/// What nobody asked for is logged here, unless it costs the connection.
fn spared<T>(outcome: Result<T, ManagementError>) -> Result<(), ManagementError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if error.spares_the_connection() => {
            warn!(
                error = &error as &dyn Error,
                "Could not check sessions against the allow-list"
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
