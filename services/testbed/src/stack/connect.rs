//! Clients of a stack: each in a namespace of its own.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use super::{Stack, StackError};
use crate::{
    client::{ClientOptions, OpenvpnClient, profile_at, write_profile},
    net::{Namespace, Network},
    ping::{self, PingError, PingStream},
    scratch::fresh_id,
};

/// The inner address of the first listener of every node.
const INNER: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 1);
const CONNECT: Duration = Duration::from_secs(30);

/// A client in a namespace of its own.
#[derive(Debug)]
pub struct Connection {
    /// Where it runs.
    pub namespace: Namespace,
    /// The client.
    pub client: OpenvpnClient,
    dir: PathBuf,
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

    /// Writes a profile (its text) into a file that only its owner can read, with the servers at this port alone.
    ///
    /// # Errors
    /// [`StackError`], also when the profile names no server at that port.
    pub fn write_profile_at(&self, profile: &str, port: u16) -> Result<PathBuf, StackError> {
        let dir = self.state.folder(&format!("clients/{}", fresh_id()), 0o700)?;
        let file = dir.join("client.ovpn");
        write_profile(&file, &profile_at(profile, port)?)?;
        Ok(file)
    }
}

impl Connection {
    /// The address of the server inside the tunnel, as it was last pushed: each listener of a node has another one.
    #[must_use]
    pub fn server(&self) -> Ipv4Addr {
        pushed_gateway(&self.client.log().text()).unwrap_or(INNER)
    }

    /// A ping every 50 ms through the tunnel.
    pub fn pings(&self) -> Result<PingStream, PingError> {
        PingStream::start(&self.namespace, self.server(), (&self.dir, "ping"))
    }

    /// The same at another pace.
    pub fn pings_every(&self, every: Duration) -> Result<PingStream, PingError> {
        PingStream::start_every(every, &self.namespace, self.server(), (&self.dir, "ping"))
    }

    /// Whether one ping through the tunnel is answered within a second.
    pub async fn answers(&self) -> bool {
        ping::once(&self.namespace, self.server()).await
    }

    /// Ends the client, which tells the server, and deletes its namespace.
    pub async fn close(self) {
        self.client.stop().await;
        self.namespace.delete().await;
    }
}

/// `PUSH: Received control message: 'PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 1'`
fn pushed_gateway(log: &str) -> Option<Ipv4Addr> {
    let (_, pushed) = log.rsplit_once("route-gateway ")?;
    pushed.split([',', '\'']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::pushed_gateway;

    #[test]
    fn the_newest_gateway_that_was_pushed_counts() {
        let line = |pushed| format!("2026-11-30 PUSH: Received control message: 'PUSH_REPLY,{pushed},ping 1'\n");
        let log = [
            line("route-gateway 10.8.0.1"),
            line("route 198.19.7.0 255.255.255.0,route-gateway 10.8.128.1"),
        ];
        assert_eq!(pushed_gateway(&log.concat()), "10.8.128.1".parse().ok());
        assert_eq!(
            pushed_gateway("ROUTE_GATEWAY 198.18.7.1/255.255.255.0 IFACE=eth0"),
            None
        );
    }
}
