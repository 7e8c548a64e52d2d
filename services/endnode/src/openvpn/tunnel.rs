//! A tunnel as the machine sees it.

use super::vpn_network::{VpnNetwork, VpnNetwork6};
use crate::interface::InterfaceName;

/// The device of a server, and the addresses inside the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// Packets from clients come in on it, those for clients leave on it.
    pub device: InterfaceName,
    /// The clients' IPv4 addresses.
    pub network: VpnNetwork,
    /// The clients' IPv6 addresses, if they have any.
    pub network6: Option<VpnNetwork6>,
    /// Whether OpenVPN gives out the lower half of the IPv4 addresses alone, so that the upper half is for fixed ones. With a configuration
    /// of an earlier release it gives out all.
    pub is_split: bool,
}

/// The tunnel of a process, compared with that of the configuration that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunningTunnel {
    /// The same.
    #[default]
    AsWanted,
    /// That of an older configuration.
    Other(Tunnel),
    /// That of an older configuration, and it cannot be told.
    Unknown,
}
