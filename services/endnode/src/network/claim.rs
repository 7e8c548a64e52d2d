//! The right to keep the firewall of a network namespace. There is one table: agents that share a machine would put back each other's
//! rules for ever.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

/// Held by one agent in each network namespace, until it is dropped or its process ends: an abstract socket, which the kernel keeps apart by
/// namespace (unix(7)), whatever folders the agents have.
#[derive(Debug)]
pub(super) struct Claim {
    _socket: UnixListener,
}

/// The right could not be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimError {
    #[error(
        "another agent on this machine keeps the firewall for its own pool: give each agent a network namespace or a machine of its own"
    )]
    Taken,
    #[error("claiming the firewall failed")]
    Bind(#[source] io::Error),
}

impl Claim {
    /// Takes what is called so in this network namespace.
    pub(super) fn take(name: &str) -> Result<Self, ClaimError> {
        let bound = SocketAddr::from_abstract_name(name).and_then(|address| UnixListener::bind_addr(&address));
        match bound {
            Ok(socket) => Ok(Self { _socket: socket }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ClaimError::Taken),
            Err(error) => Err(ClaimError::Bind(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let name = format!("vpnmanager-test-{}", uuid::Uuid::new_v4());
        let first = Claim::take(&name).expect("the first");
        assert!(matches!(Claim::take(&name), Err(ClaimError::Taken)));
        drop(first);
        Claim::take(&name).expect("the next");
    }
}
