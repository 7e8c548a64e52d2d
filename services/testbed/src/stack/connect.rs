//! Clients of a stack: each in a namespace of its own.

use std::{net::Ipv4Addr, time::Duration};

use super::{Stack, StackError};
use crate::{
    client::{ClientOptions, OpenvpnClient},
    net::{Namespace, Network},
    ping::{self, PingError, PingStream},
    scratch::fresh_id,
};

/// The inner address of every node's OpenVPN server.
const INNER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
const CONNECT: Duration = Duration::from_secs(30);

/// A client in a namespace of its own.
#[derive(Debug)]
pub struct Connection {
    /// Where it runs.
    pub namespace: Namespace,
    /// The client.
    pub client: OpenvpnClient,
    dir: std::path::PathBuf,
}

impl Stack {
    /// The network of this stack.
    ///
    /// # Errors
    /// [`StackError::NoTunnels`].
    pub fn network(&self) -> Result<&Network, StackError> {
        self.state.network.as_ref().ok_or(StackError::NoTunnels)
    }

    /// Fetches a user's profile and connects with it.
    ///
    /// # Errors
    /// [`StackError`], also when the tunnel does not come up.
    pub async fn connect(&self, username: &str) -> Result<Connection, StackError> {
        let profile = self.api().profile(username).await?;
        let connection = self.start_client(&profile, &ClientOptions::default()).await?;
        connection.client.connected(CONNECT).await?;
        Ok(connection)
    }

    /// Starts a client with this profile (its text) in a fresh namespace, without waiting for its tunnel.
    pub async fn start_client(&self, profile: &str, options: &ClientOptions) -> Result<Connection, StackError> {
        let namespace = self.network()?.add_client(None).await?;
        let dir = self.state.folder(&format!("clients/{}", fresh_id()), 0o700)?;
        let client = OpenvpnClient::start(&namespace, profile, (&dir, "client"), options)?;
        Ok(Connection { namespace, client, dir })
    }
}

impl Connection {
    /// A ping every 50 ms through the tunnel.
    pub fn pings(&self) -> Result<PingStream, PingError> {
        PingStream::start(&self.namespace, INNER, (&self.dir, "ping"))
    }

    /// The same at another pace.
    pub fn pings_every(&self, every: Duration) -> Result<PingStream, PingError> {
        PingStream::start_every(every, &self.namespace, INNER, (&self.dir, "ping"))
    }

    /// Whether one ping through the tunnel is answered within a second.
    pub async fn answers(&self) -> bool {
        ping::once(&self.namespace, INNER).await
    }

    /// Ends the client, which tells the server, and deletes its namespace.
    pub async fn close(self) {
        self.client.stop().await;
        self.namespace.delete().await;
    }
}
