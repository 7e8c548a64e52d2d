//! Listening and stopping, the same in both services.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use poem::listener::{Acceptor, AcceptorExt as _, BoxAcceptor, Listener as _, TcpListener};
use poem::{EndpointExt as _, IntoEndpoint, Server};

/// A connection without a request is closed after this time.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Sockets that are bound but not yet served, so that a wrong address is reported before anything starts.
pub struct Bound {
    acceptor: BoxAcceptor,
    addresses: Vec<SocketAddr>,
}

impl Bound {
    /// Binds `host:port` addresses, at least one.
    ///
    /// # Errors
    /// When one cannot be bound; the text names it.
    pub async fn new(addresses: &[String]) -> io::Result<Self> {
        let mut bound: Option<Self> = None;
        for address in addresses {
            let socket = TcpListener::bind(address.as_str()).into_acceptor().await;
            let socket =
                socket.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
            let local = socket
                .local_addr()
                .into_iter()
                .filter_map(|local| local.as_socket_addr().copied());
            let (acceptor, mut addresses) = match bound {
                None => (socket.boxed(), Vec::new()),
                Some(earlier) => (earlier.acceptor.combine(socket).boxed(), earlier.addresses),
            };
            addresses.extend(local);
            bound = Some(Self { acceptor, addresses });
        }
        bound.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"))
    }

    /// The addresses, with the ports that the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `stop` is done, then lets requests in progress finish for `grace` at most.
    pub async fn serve<E>(self, app: E, stop: impl Future<Output = ()>, grace: Duration) -> io::Result<()>
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        Server::new_with_acceptor(self.acceptor)
            .idle_timeout(IDLE_TIMEOUT)
            .run_with_graceful_shutdown(app.into_endpoint().map_to_response(), stop, Some(grace))
            .await
    }
}
