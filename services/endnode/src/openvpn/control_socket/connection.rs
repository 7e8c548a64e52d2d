//! One connection to OpenVPN's management socket. Only this file and `replies` know `openvpn-mgmt-codec`.
//!
//! OpenVPN serves one management client at a time: a second one connects and is never greeted, so the greeting has a
//! deadline. Replies are matched to commands by order alone, so a connection that missed one cannot be used any more.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::Path,
    time::Duration,
};

use chrono::Utc;
use futures_util::StreamExt;
use openvpn_mgmt_codec::{
    AccumulationLimit, ClientEvent, EncoderMode, EventStream, KillTarget, ManagementEvent, ManagementSink,
    Notification, OvpnCodec, OvpnCommand, OvpnMessage, SessionError, StatusFormat, management_split,
    split::CommandSink,
};
use tokio::{
    net::UnixStream,
    time::{Instant, error::Elapsed, timeout},
};
use tokio_util::codec::Framed;

use super::{
    error::ControlError,
    replies::{self, Listed, Load, ServerState, Snapshot},
};
use crate::backend::{Parting, Session};

/// What was listed is good for so long: OpenVPN serves nobody while it lists its clients.
const LISTED_FOR: Duration = Duration::from_secs(2);

/// A greeted connection.
pub(crate) struct Connection {
    sink: CommandSink<UnixStream>,
    events: EventStream<UnixStream>,
    reply_within: Duration,
    /// Those whose login was heard of, by the numbers of their sessions.
    clients: HashMap<u64, Client>,
    /// Who took places when clients were listed last, and when that was.
    snapshot: Option<(Instant, Snapshot)>,
}

/// What a client said of itself as it logged in (OpenVPN manual, `push-peer-info`). It may say anything.
struct Client {
    version: Option<String>,
    platform: Option<String>,
}

/// What OpenVPN reports without being asked.
pub(crate) enum Event {
    /// A client has logged in.
    Established {
        /// That of its certificate.
        common_name: String,
        /// The IPv4 address that it got inside the VPN, empty where the server gives none.
        address: String,
    },
    /// A report that needs no action.
    Other,
}

impl Connection {
    /// Connects and waits for the greeting.
    pub(crate) async fn open(socket: &Path, reply_within: Duration) -> Result<Self, ControlError> {
        let greeted = timeout(reply_within, greet(socket)).await;
        let framed = greeted.map_err(|_| ControlError::NoGreeting)??;
        let (sink, events) = management_split(framed);
        Ok(Self {
            sink,
            events,
            reply_within,
            clients: HashMap::new(),
            snapshot: None,
        })
    }

    /// Process id of the server.
    pub(crate) async fn pid(&mut self) -> Result<u32, ControlError> {
        replies::pid_in(&self.success(OvpnCommand::Pid).await?)
    }

    /// What the server is doing.
    pub(crate) async fn state(&mut self) -> Result<ServerState, ControlError> {
        replies::state_in(&self.lines(OvpnCommand::State).await?)
    }

    /// Counters over all clients.
    pub(crate) async fn load(&mut self) -> Result<Load, ControlError> {
        replies::load_in(&self.success(OvpnCommand::LoadStats).await?)
    }

    /// The server's release, such as `2.6.14`.
    pub(crate) async fn version(&mut self) -> Result<Option<String>, ControlError> {
        replies::version_in(&self.lines(OvpnCommand::Version).await?)
    }

    /// Clients that have finished their handshake.
    pub(crate) async fn sessions(&mut self) -> Result<Vec<Session>, ControlError> {
        // From before the list, so that no handshake on it is taken for older than it is.
        let (asked, at) = (Instant::now(), Utc::now());
        let listed = replies::listed_in(&self.lines(OvpnCommand::Status(StatusFormat::V3)).await?)?;
        let Listed {
            mut sessions,
            handshakes,
        } = listed;
        let snapshot = Snapshot {
            at,
            sessions: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
            handshakes,
        };
        self.snapshot = Some((asked, snapshot));
        let live: HashSet<u64> = sessions.iter().map(|session| session.cid).collect();
        self.clients.retain(|cid, _| live.contains(cid));
        add_logins(&mut sessions, &self.clients);
        Ok(sessions)
    }

    /// Who takes places, as of two seconds ago at most.
    pub(crate) async fn snapshot(&mut self) -> Result<Option<Snapshot>, ControlError> {
        let is_old = |(asked, _): &(Instant, Snapshot)| asked.elapsed() >= LISTED_FOR;
        if self.snapshot.as_ref().is_none_or(is_old) {
            _ = self.sessions().await?;
        }
        Ok(self.snapshot.as_ref().map(|(_, snapshot)| snapshot.clone()))
    }

    /// Tells one session how to part. The server itself keeps it for 5 s more: follow with [`Self::kill`].
    /// False when there is no such session any more.
    pub(crate) async fn tell(&mut self, cid: u64, parting: Parting) -> Result<bool, ControlError> {
        let message = match parting {
            Parting::Halt => "HALT",
            Parting::Reconnect => "RESTART",
            Parting::NextRemote => "RESTART,[N]",
        };
        let told = self
            .success(OvpnCommand::ClientKill {
                cid,
                message: Some(message.to_owned()),
            })
            .await;
        found(told)
    }

    /// Drops every session of one common name at once, saying nothing to the clients. False when there was none.
    pub(crate) async fn kill(&mut self, common_name: &str) -> Result<bool, ControlError> {
        let killed = self
            .success(OvpnCommand::Kill(KillTarget::CommonName(common_name.to_owned())))
            .await;
        found(killed)
    }

    /// Waits for the next report. Cancel-safe.
    pub(crate) async fn event(&mut self) -> Result<Event, ControlError> {
        let event = self
            .events
            .next()
            .await
            .ok_or(ControlError::Closed)?
            .map_err(ControlError::Broken)?;
        let ManagementEvent::Notification(notification) = event else {
            return Err(ControlError::OutOfStep);
        };
        if let Notification::Client {
            event: ClientEvent::Established,
            cid,
            mut env,
            ..
        } = notification
        {
            let client = Client {
                version: env.remove("IV_VER"),
                platform: env.remove("IV_PLAT"),
            };
            self.clients.insert(cid, client);
            // Also of one that its file in the client-config-dir gives (`ifconfig-push` in OpenVPN's manual).
            let address = env.remove("ifconfig_pool_remote_ip").unwrap_or_default();
            let established = |common_name| Event::Established { common_name, address };
            return Ok(env.remove("common_name").map_or(Event::Other, established));
        }
        Ok(Event::Other)
    }

    async fn success(&mut self, command: OvpnCommand) -> Result<String, ControlError> {
        let exchange = async {
            self.sink.send_command(command).await?;
            self.events.recv_success().await
        };
        settled(timeout(self.reply_within, exchange).await)
    }

    async fn lines(&mut self, command: OvpnCommand) -> Result<Vec<String>, ControlError> {
        let exchange = async {
            self.sink.send_command(command).await?;
            self.events.recv_multi_line().await
        };
        settled(timeout(self.reply_within, exchange).await)
    }
}

/// Adds what was heard of their logins. A server without an address pool tells only there whom it let in.
fn add_logins(sessions: &mut [Session], clients: &HashMap<u64, Client>) {
    for session in sessions {
        if let Some(client) = clients.get(&session.cid) {
            session.is_established = true;
            session.client_version.clone_from(&client.version);
            session.client_platform.clone_from(&client.platform);
        }
    }
}

/// Reads the greeting itself: the codec's session API would take it for a reply.
async fn greet(socket: &Path) -> Result<Framed<UnixStream, OvpnCodec>, ControlError> {
    let stream = UnixStream::connect(socket).await.map_err(ControlError::Unreachable)?;
    let codec = OvpnCodec::new()
        .with_encoder_mode(EncoderMode::Strict)
        .with_max_multi_line_lines(AccumulationLimit::Unlimited);
    let mut framed = Framed::new(stream, codec);
    let greeting = framed
        .next()
        .await
        .ok_or(ControlError::Closed)?
        .map_err(ControlError::Broken)?;
    let OvpnMessage::Info(_) = greeting else {
        return Err(ControlError::OutOfStep);
    };
    Ok(framed)
}

fn settled<T>(outcome: Result<Result<T, SessionError>, Elapsed>) -> Result<T, ControlError> {
    outcome
        .map_err(|_| ControlError::Timeout)?
        .map_err(|error| match error {
            SessionError::Io(error) if error.kind() == io::ErrorKind::InvalidInput => ControlError::Unsendable(error),
            SessionError::Io(error) => ControlError::Broken(error),
            SessionError::ConnectionClosed => ControlError::Closed,
            SessionError::ServerError(message) => ControlError::Refused(message),
            SessionError::UnexpectedResponse(_) => ControlError::OutOfStep,
            SessionError::ParseResponse(error) => ControlError::Unreadable(error.into()),
            SessionError::ParseStatus(error) => ControlError::Unreadable(error.into()),
        })
}

/// The only reason that OpenVPN has to refuse ending a session is that it is gone.
fn found(outcome: Result<String, ControlError>) -> Result<bool, ControlError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(ControlError::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_login_was_heard_of_is_let_in_although_it_has_no_address() {
        let session = |cid, is_established| Session {
            cid,
            is_established,
            ..Session::default()
        };
        let client = Client {
            version: Some("2.6.14".to_owned()),
            platform: None,
        };
        let mut sessions = [session(1, false), session(2, false), session(3, true)];

        add_logins(&mut sessions, &HashMap::from([(1, client)]));

        let heard = Session {
            client_version: Some("2.6.14".to_owned()),
            ..session(1, true)
        };
        assert_eq!(sessions, [heard, session(2, false), session(3, true)]);
    }
}
