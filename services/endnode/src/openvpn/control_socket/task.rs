//! The task that keeps the connection.

use std::{path::PathBuf, time::Duration};

use chrono::{TimeDelta, Utc};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vpnmanager_nats::ids::CommonName;
use vpnmanager_runtime::{backoff::Backoff, error_chain::chain};

use super::{
    connection::{Connection, Event},
    cut::{cut, cut_crowded_out, cut_held_back, cut_moved, cut_strangers, end},
    error::ControlError,
    handle::{ControlHandle, Link, Overview, Reply, Request},
    replies::ServerState,
};
use crate::{
    allow_list::{AllowList, Welcome},
    backend::{CutSessions, Parting, Serving, Session},
    listening::ListenerNumber,
};

/// How long OpenVPN may take to greet or to reply. It answers in under a millisecond.
const REPLY_WITHIN: Duration = Duration::from_secs(3);
/// Before the socket is tried again.
const RETRY: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
/// Requests that may wait for the task.
const QUEUE: usize = 64;
/// A client has its address as soon as it is let in; OpenVPN tells its start in whole seconds.
const ADDRESSED_WITHIN: TimeDelta = TimeDelta::seconds(3);

/// What a [`ControlTask`] goes by.
#[derive(Debug, Clone)]
pub struct Controlled {
    /// OpenVPN's management socket.
    pub socket: PathBuf,
    /// Who may log in.
    pub allow_list: AllowList,
    /// The listener that the server is behind.
    pub number: ListenerNumber,
    /// Says how strangers part.
    pub serving: watch::Receiver<Serving>,
    /// Counts the logins of all servers of the node.
    pub logins: watch::Sender<u64>,
}

/// Keeps the connection.
#[derive(Debug)]
pub struct ControlTask {
    by: Controlled,
    requests: mpsc::Receiver<Request>,
    link: watch::Sender<Link>,
}

impl ControlTask {
    /// The task for one server, and the handle that asks it.
    pub fn new(by: Controlled) -> (Self, ControlHandle) {
        let (sender, requests) = mpsc::channel(QUEUE);
        let (link, watched) = watch::channel(Link::Untried);
        let handle = ControlHandle {
            requests: sender,
            link: watched,
        };
        (Self { by, requests, link }, handle)
    }

    /// Connects, serves the handles, connects again, until cancelled. OpenVPN does not notice any of it.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut failures = 0_u32;
        while !cancel.is_cancelled() {
            let failure = match self.connect(&cancel).await {
                None => return,
                Some(Ok((connection, pid))) => {
                    info!(openvpn.pid = pid, "Attached to OpenVPN's management socket");
                    failures = 0;
                    self.link.send_replace(Link::Up { pid });
                    match self.serve(connection, &cancel).await {
                        Ok(()) => return,
                        Err(failure) => {
                            warn!(error = %chain(&failure), "Lost OpenVPN's management connection");
                            failure
                        }
                    }
                }
                Some(Err(failure)) => failure,
            };
            let is_held = matches!(failure, ControlError::NoGreeting);
            let away = || Link::Away(chain(&failure).to_string());
            self.link.send_replace(if is_held { Link::Held } else { away() });
            failures = failures.saturating_add(1);
            if self.stay_away(RETRY.after(failures), &cancel).await.is_none() {
                return;
            }
        }
    }

    /// None when cancelled.
    async fn connect(&mut self, cancel: &CancellationToken) -> Option<Result<(Connection, u32), ControlError>> {
        let attempt = async {
            let mut connection = Connection::open(&self.by.socket, REPLY_WITHIN).await?;
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
    async fn serve(&mut self, mut connection: Connection, cancel: &CancellationToken) -> Result<(), ControlError> {
        log_unless_lost(self.enforce(&mut connection).await)?;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                request = self.requests.recv() => match request {
                    Some(request) => self.answer(request, &mut connection).await?,
                    None => return Ok(()),
                },
                event = connection.event() => match event? {
                    Event::Established { common_name, address } => {
                        self.cut_unless_welcome((&common_name, &address), &mut connection).await?;
                        self.by.logins.send_modify(|logins| *logins += 1);
                    }
                    Event::Other => {}
                },
            }
        }
    }

    /// An error when the connection is lost with it; the asker then hears that it is away.
    async fn answer(&self, request: Request, connection: &mut Connection) -> Result<(), ControlError> {
        match request {
            Request::Sessions(reply) => send_unless_lost(reply, connection.sessions().await),
            Request::Overview(reply) => send_unless_lost(reply, overview(connection).await),
            Request::Cut { names, parting, reply } => send_unless_lost(reply, cut(connection, &names, parting).await),
            Request::End { session, reply } => send_unless_lost(reply, end(connection, session).await),
            Request::Enforce(reply) => send_unless_lost(reply, self.enforce(connection).await),
        }
    }

    /// Ends the session of a client that has just logged in, unless it may stay with its address.
    async fn cut_unless_welcome(
        &self,
        (common_name, address): (&str, &str),
        connection: &mut Connection,
    ) -> Result<(), ControlError> {
        match self.welcome(common_name, address, "") {
            Ok(Welcome::Here) => Ok(()),
            Ok(Welcome::Elsewhere | Welcome::HeldBack | Welcome::Nowhere) => {
                log_unless_lost(self.enforce(connection).await)
            }
            Err(error) => log_unless_lost::<()>(Err(error)),
        }
    }

    async fn enforce(&self, connection: &mut Connection) -> Result<CutSessions, ControlError> {
        let (mut strangers, mut moved) = (Vec::new(), Vec::new());
        let (mut held_back, mut crowded_out) = (Vec::new(), Vec::new());
        for session in connection.sessions().await? {
            match self.welcome(
                &session.common_name,
                &session.virtual_address,
                &session.virtual_address6,
            )? {
                Welcome::Here if self.found_no_room(&session) => crowded_out.push(session),
                Welcome::Here => {}
                Welcome::Elsewhere => moved.push(session),
                Welcome::HeldBack => held_back.push(session),
                Welcome::Nowhere => strangers.push(session),
            }
        }
        let (parting, back) = self.partings();
        let cut = cut_strangers(connection, &strangers, parting).await?;
        cut_moved(connection, &moved, back).await?;
        cut_held_back(connection, &held_back).await?;
        let network = self.by.allow_list.network_at(self.by.number);
        cut_crowded_out(connection, &crowded_out, network).await?;
        let moved = [moved, held_back, crowded_out].concat();
        let moved = moved.iter().map(Session::key).collect();
        Ok(CutSessions { moved, ..cut })
    }

    /// Whether OpenVPN let in a client without an address, because it had none left. The client would wait for traffic in vain, and dial this node
    /// again and again. One that has just come gets its address a moment later.
    fn found_no_room(&self, session: &Session) -> bool {
        self.by.allow_list.pushed().is_some()
            && session.is_established
            && session.virtual_address.is_empty()
            && session.since + ADDRESSED_WITHIN < Utc::now()
    }

    /// How those part who may not log in, and those who get another address. The other nodes may still let in whom a node that must not serve
    /// sends away.
    fn partings(&self) -> (Parting, Parting) {
        match *self.by.serving.borrow() {
            Serving::No => (Parting::NextRemote, Parting::NextRemote),
            Serving::Undecided | Serving::Yes => (Parting::Halt, Parting::Reconnect),
        }
    }

    fn welcome(&self, common_name: &str, address: &str, address6: &str) -> Result<Welcome, ControlError> {
        match common_name.parse::<CommonName>() {
            Ok(name) => {
                let welcome = self.by.allow_list.welcome(self.by.number, &name, address, address6);
                welcome.map_err(ControlError::AllowList)
            }
            Err(_) => Ok(Welcome::Nowhere),
        }
    }
}

async fn overview(connection: &mut Connection) -> Result<Overview, ControlError> {
    let pid = connection.pid().await?;
    let ServerState { serving, since } = connection.state().await?;
    let load = connection.load().await?;
    let version = connection.version().await?;
    let snapshot = match connection.snapshot().await {
        // The server serves all the same.
        Err(error) if error.spares_the_connection() => None,
        asked => asked?,
    };
    let sessions = u32::try_from(load.sessions).unwrap_or(u32::MAX);
    Ok(Overview {
        pid,
        version,
        serving,
        since,
        sessions,
        snapshot,
        bytes_in: load.bytes_in,
        bytes_out: load.bytes_out,
    })
}

/// Gives the asker its answer. An error that costs the connection is returned.
fn send_unless_lost<T>(reply: Reply<T>, outcome: Result<T, ControlError>) -> Result<(), ControlError> {
    let (answer, lost) = match outcome {
        Err(error) if !error.spares_the_connection() => (Err(ControlError::Away), Err(error)),
        Ok(_) | Err(_) => (outcome, Ok(())),
    };
    // An asker that has gone does not need its answer.
    _ = reply.send(answer);
    lost
}

/// Logs the failure of a check that nobody asked for. An error that costs the connection is returned.
fn log_unless_lost<T>(outcome: Result<T, ControlError>) -> Result<(), ControlError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if error.spares_the_connection() => {
            warn!(
                error = %chain(&error),
                "Could not check sessions against the allow-list"
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}
