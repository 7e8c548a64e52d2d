//! What the network of a pool meets on this machine.

use std::path::PathBuf;

use crate::{interface::InterfaceName, openvpn::ManagedTunnel, pushed_file::PushedFile};

/// The place of a managed OpenVPN.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its tunnel.
    pub tunnel: ManagedTunnel,
    /// What it pushes to clients.
    pub pushed: PushedFile,
    /// The only interface on which clients' packets get the node's address, if not every one.
    pub egress: Option<InterfaceName>,
}

/// What the machine is changed with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The program nft.
    pub nft: PathBuf,
    /// The kernel's switches.
    pub sysctls: PathBuf,
    /// A folder with an entry for each network interface.
    pub interfaces: PathBuf,
    /// What the right to keep the firewall is called in its network namespace.
    pub claimed: String,
}

impl Default for Tools {
    fn default() -> Self {
        Self {
            nft: "nft".into(),
            sysctls: "/proc/sys".into(),
            interfaces: "/sys/class/net".into(),
            claimed: "vpnmanager-network".to_owned(),
        }
    }
}
