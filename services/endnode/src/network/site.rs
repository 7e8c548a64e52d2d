//! What the network of a pool meets on this machine.

use std::path::PathBuf;

use crate::{
    groups::{Definitions, Places},
    interface::InterfaceName,
    openvpn::ManagedTunnels,
    pushed_file::PushedFile,
    pushed_groups::PushedGroups,
};

/// The place of the OpenVPNs that an agent runs, one for each listener.
#[derive(Debug, Clone)]
pub struct Site {
    /// Their tunnels.
    pub tunnels: ManagedTunnels,
    /// What all of them push to clients.
    pub pushed: PushedFile,
    /// What all of them push to members of groups.
    pub pushed_groups: PushedGroups,
    /// Which credentials have which fixed address.
    pub places: Places,
    /// What holds for members of groups.
    pub definitions: Definitions,
    /// The file that says which tunnel devices got another MTU than OpenVPN gave them.
    pub mtus: PathBuf,
    /// The only interface on which clients' packets get the node's address, if not every one.
    pub egress: Option<InterfaceName>,
}

/// What the machine is changed with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The program nft.
    pub nft: PathBuf,
    /// The program ip.
    pub ip: PathBuf,
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
            ip: "ip".into(),
            sysctls: "/proc/sys".into(),
            interfaces: "/sys/class/net".into(),
            claimed: "vpnmanager-network".to_owned(),
        }
    }
}
