//! Why the network of a pool is not applied.

use super::{firewall::FirewallError, forwarding::ForwardingError, mtu::MtuError};
use crate::{interface::InterfaceName, pushed_file::PushedFileError};

/// The machine is not as the pool's network wants it. It is tried again each 10 s.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetworkError {
    #[error(
        "OpenVPN runs with an older server.conf, and its tunnel device cannot be told: drain the node and stop OpenVPN with SIGTERM, and the \
         agent starts it again"
    )]
    UnknownTunnel,
    #[error(
        "nothing passes, because the tunnels {one} and {other} have addresses in common, and one of them is that of an OpenVPN with an older \
         server.conf: drain the node and stop all its OpenVPNs with SIGTERM, and the agent starts them again"
    )]
    Overlapping { one: InterfaceName, other: InterfaceName },
    #[error("management has not said yet what the pool's network is, and the rules of one are there")]
    NotTold,
    #[error(transparent)]
    Forwarding(#[from] ForwardingError),
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    #[error(transparent)]
    Pushed(#[from] PushedFileError),
    #[error(transparent)]
    Mtu(#[from] MtuError),
}
