//! Listening, serving and stopping, the same in both services.
//!
//! A stranger must not wear the service down: connections are counted in all and for each address, and a request that does not get
//! complete, or an answer that is not read, ends with its connection ([`HttpConfig`]).

mod config;
mod connection;
mod connections;
mod ends;
mod framing;
mod handshake;
mod http1;
mod http2;
mod local;
mod prefix;
mod proxies;
mod serve;
mod socket;
mod source;
mod stream;
pub mod tls;
mod unread_head;

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poem::http::uri::Scheme;
use poem::web::LocalAddr;
use poem::{Addr, Endpoint, EndpointExt as _, IntoEndpoint, Response};
use rustix::net::sockopt;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use vpnmanager_runtime::descriptors;
use vpnmanager_runtime::log_limit::LogLimit;

pub use config::{HttpConfig, SETTINGS};
pub(crate) use connection::Connection;
pub use framing::{LONGEST_HEAD, MOST_HEADERS, is_host};
pub(crate) use local::LocalCaller;
pub use local::LocalSocket;
pub(crate) use prefix::ForwardedPrefix;
pub use proxies::{InvalidNetwork, Network, TrustedProxies};
pub use source::Source;

use connections::{Connections, Entry, Full, Limits};
use ends::{Ends, Peer};
use handshake::Accepted;

/// How often to look for connections that are over their time.
const WATCH: Duration = Duration::from_secs(1);

/// The pause after the system has given no connection: it would give none at once either.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes that the system holds for one connection and direction, which it doubles for its own needs. By default it takes up to 4 MB of an answer
/// that nobody reads, and 6 MB of a body: 500 strangers at once had it copy a gigabyte, while everybody else waited for half a second.
const SOCKET_BUFFER: usize = 128 << 10;

/// Connections that were told to close and may still hold their sockets.
const CLOSING: usize = 32;

/// The answer to a connection for which there is no room.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/problem+json\r\ncontent-length: 134\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"too many requests are in progress; try again in a second\"}\n";

static NO_ROOM: LogLimit = LogLimit::new("an HTTP connection was refused");
static NOT_ACCEPTED: LogLimit = LogLimit::new("the system gave no HTTP connection");

/// Sockets that are bound but not yet served, so that a wrong address is reported before anything starts.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    config: HttpConfig,
    proxies: TrustedProxies,
    tls: Option<Arc<ServerConfig>>,
    local: Option<LocalSocket>,
}

/// The connections inherit the sizes of the buffers. See tcp(7).
async fn listen(address: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    sockopt::set_socket_send_buffer_size(&listener, SOCKET_BUFFER)?;
    sockopt::set_socket_recv_buffer_size(&listener, SOCKET_BUFFER)?;
    Ok(listener)
}

impl Bound {
    /// Binds `host:port` addresses, at least one.
    ///
    /// # Errors
    /// When one cannot be bound; the text names it.
    pub async fn new(addresses: &[String]) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in addresses {
            let listener = listen(address).await;
            listeners.push(
                listener
                    .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?,
            );
        }
        if listeners.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"));
        }
        Ok(Self {
            addresses: listeners
                .iter()
                .map(TcpListener::local_addr)
                .collect::<Result<_, _>>()?,
            listeners,
            config: HttpConfig::default(),
            proxies: TrustedProxies::default(),
            tls: None,
            local: None,
        })
    }

    /// With these limits in place of the defaults.
    #[must_use]
    pub fn with(self, config: HttpConfig) -> Self {
        Self { config, ..self }
    }

    /// Behind these proxies: a request finds the client that they name as its remote address.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// With HTTPS at all addresses, by this certificate. TLS 1.2 or 1.3, HTTP/2 or HTTP/1.1, as the caller likes.
    #[must_use]
    pub fn secured(self, served: &tls::ServedCertificate) -> Self {
        Self {
            tls: Some(tls::server_config(served)),
            ..self
        }
    }

    /// Also for callers of this machine. They need no key where the [`Authenticator`](crate::auth::Authenticator) says who they are.
    #[must_use]
    pub fn also_at(self, socket: LocalSocket) -> Self {
        Self {
            local: Some(socket),
            ..self
        }
    }

    /// The addresses, with the ports that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `stop` is done, then lets requests in progress finish for `grace` at most.
    ///
    /// # Errors
    /// None: what fails concerns one connection. The type fits a task.
    pub async fn serve<E>(self, app: E, stop: impl Future<Output = ()>, grace: Duration) -> io::Result<()>
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        let most = self.config.connections(descriptors::limit());
        if most < self.config.max_connections.get() {
            warn!(
                http.connections = most,
                http.max_connections = self.config.max_connections,
                "Fewer HTTP connections are taken at once than configured: the limit of open files (ulimit -n) is low"
            );
        }
        let server = Server {
            app: Arc::new(app.into_endpoint().map_to_response()),
            proxies: Arc::new(self.proxies),
            tls: self.tls,
            connections: Connections::new(Limits {
                config: self.config,
                most,
            }),
            sockets: Arc::new(Semaphore::new(most.saturating_add(CLOSING).min(Semaphore::MAX_PERMITS))),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        };
        let accepting = join_all(self.listeners.iter().map(|listener| server.accept_from(listener)));
        let local = self.local.as_ref();
        let accepting_local = async {
            match local {
                Some(socket) => server.accept_local(socket).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _never = accepting => {}
            () = accepting_local => {}
            () = server.watch() => {}
            () = stop => {}
        }
        drop((self.listeners, self.local));
        server.end(grace).await;
        Ok(())
    }
}

struct Server<E> {
    app: Arc<E>,
    proxies: Arc<TrustedProxies>,
    tls: Option<Arc<ServerConfig>>,
    connections: Connections,
    /// One for each socket, those that are being closed included.
    sockets: Arc<Semaphore>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl<E: Endpoint<Output = Response> + 'static> Server<E> {
    async fn accept_from(&self, listener: &TcpListener) {
        while let Ok(permit) = self.sockets.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer, permit),
                Err(error) => self.not_accepted(&error).await,
            }
        }
    }

    async fn accept_local(&self, socket: &LocalSocket) {
        while let Ok(permit) = self.sockets.clone().acquire_owned().await {
            match socket.accept().await {
                // Local callers are no single address.
                Ok(stream) => match self.connections.enter(None, Instant::now()) {
                    Ok(entry) => self.spawn(
                        Accepted::Local(stream),
                        Ends {
                            local: LocalAddr(Addr::Custom("unix", "local".into())),
                            peer: Peer::Local,
                            scheme: Scheme::HTTP,
                            proxies: self.proxies.clone(),
                        },
                        entry,
                        permit,
                    ),
                    // The buffer of a new socket has room for it.
                    Err(Full::Source(limit) | Full::Server(limit)) => {
                        let _gone = stream.try_write(BUSY);
                        no_room("local", limit);
                    }
                },
                Err(error) => self.not_accepted(&error).await,
            }
        }
    }

    /// Waits a moment where the next one would fail too.
    async fn not_accepted(&self, error: &io::Error) {
        if concerns_one_connection(error) {
            return;
        }
        let made_room = self.connections.make_room();
        if let Some(times) = NOT_ACCEPTED.admit() {
            warn!(
                error = %error, times, made_room,
                "The system gave no HTTP connection, waiting a moment"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }

    fn take(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let source = Source::of(peer.ip());
        // Each connection of a proxy is another caller's.
        let counted = (!self.proxies.contains(peer.ip())).then_some(source);
        let entry = match self.connections.enter(counted, Instant::now()) {
            Ok(entry) => entry,
            Err(full) => return self.refuse(&stream, source, full),
        };
        let Ok(local) = stream.local_addr() else { return };
        // Answers are written whole: waiting for more to send only delays them.
        let _not_vital = stream.set_nodelay(true);
        let (accepted, scheme) = match &self.tls {
            Some(tls) => (Accepted::Tls(stream, tls.clone()), Scheme::HTTPS),
            None => (Accepted::Plain(stream), Scheme::HTTP),
        };
        let ends = Ends {
            local: LocalAddr(local.into()),
            peer: Peer::Network(peer),
            scheme,
            proxies: self.proxies.clone(),
        };
        self.spawn(accepted, ends, entry, permit);
    }

    fn spawn(&self, accepted: Accepted, ends: Ends, entry: Entry, permit: OwnedSemaphorePermit) {
        let serving = serve::serve(accepted, ends, entry, self.app.clone(), self.stopping.clone());
        self.tasks.spawn(async move {
            serving.await;
            drop(permit);
        });
    }

    fn refuse(&self, stream: &TcpStream, source: Source, full: Full) {
        if self.tls.is_none() {
            // The buffer of a new socket has room for it. In TLS a caller would take it for a broken handshake.
            let _gone = stream.try_write(BUSY);
        }
        let (Full::Source(limit) | Full::Server(limit)) = full;
        no_room(source, limit);
    }

    async fn watch(&self) {
        loop {
            tokio::time::sleep(WATCH).await;
            self.connections.close_overdue(Instant::now());
        }
    }

    async fn end(&self, grace: Duration) {
        self.stopping.cancel();
        self.connections.close_silent();
        self.tasks.close();
        let ended = async {
            tokio::select! {
                () = self.tasks.wait() => {}
                () = self.watch() => {}
            }
        };
        if tokio::time::timeout(grace, ended).await.is_err() {
            info!(
                http.connections = self.tasks.len(),
                "Cutting off requests that did not end in time"
            );
        }
        self.connections.close_all();
    }
}

fn no_room(source: impl Display, limit: usize) {
    if let Some(times) = NO_ROOM.admit() {
        warn!(
            client.address = %source, limit, times,
            "An HTTP connection was refused: as many as are allowed are in use"
        );
    }
}

/// accept(2): an error that was pending on the new socket, which is gone; the next one can be accepted at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_without_room_is_a_whole_problem() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let problem: crate::problem::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.status, 503);
    }

    #[tokio::test]
    async fn what_the_system_holds_of_a_connection_is_bounded() {
        let listener = listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_client, taken) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (taken, _) = taken.unwrap();
        assert_eq!(sockopt::socket_send_buffer_size(&taken).unwrap(), 2 * SOCKET_BUFFER);
        assert_eq!(sockopt::socket_recv_buffer_size(&taken).unwrap(), 2 * SOCKET_BUFFER);
    }
}
