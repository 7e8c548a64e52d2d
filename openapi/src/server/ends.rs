//! Who talks to whom.

use std::net::SocketAddr;
use std::sync::Arc;

use poem::Addr;
use poem::http::request::Parts;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};

use super::local::LocalCaller;
use super::prefix::ForwardedPrefix;
use super::proxies::TrustedProxies;
use crate::problem::Problem;

/// Both ends of a connection.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) local: LocalAddr,
    pub(super) peer: Peer,
    /// Whether in TLS.
    pub(super) scheme: Scheme,
    /// Those who may talk for others.
    pub(super) proxies: Arc<TrustedProxies>,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    Network(SocketAddr),
    /// A process of this machine that may do as it likes here.
    Local,
}

impl Ends {
    /// Whose request it is that came with these headers; a local caller's is marked as such, and one through a proxy with its prefix.
    pub(super) fn client(&self, request: &mut Parts) -> Result<RemoteAddr, Box<Problem>> {
        match self.peer {
            Peer::Network(peer) => {
                let client = self.proxies.client(peer, &request.headers)?;
                if self.proxies.contains(peer.ip())
                    && let Some(prefix) = ForwardedPrefix::of(&request.headers)?
                {
                    request.extensions.insert(prefix);
                }
                Ok(RemoteAddr(client.into()))
            }
            Peer::Local => {
                request.extensions.insert(LocalCaller);
                Ok(RemoteAddr(Addr::Custom("unix", "local".into())))
            }
        }
    }
}
