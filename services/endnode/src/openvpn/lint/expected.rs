//! What the agent and the profiles of its users rely on.

use std::path::PathBuf;

use vpnmanager_nats::{commands::Protocol, network::Network};

/// What a configuration is compared with.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The allow-list folder.
    pub allow_dir: PathBuf,
    /// The management socket.
    pub control_socket: PathBuf,
    /// Where profiles say that the server is.
    pub port: u16,
    /// How profiles say that it is reached.
    pub protocol: Protocol,
    /// Whether profiles name an IPv6 address.
    pub ipv6: bool,
    /// The certificate of the fleet's authority.
    pub ca: PathBuf,
    /// The node's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The fleet's tls-crypt-v2 server key.
    pub tls_crypt_v2: PathBuf,
    /// The network of the pool; `None` where it has none, or none is known.
    pub network: Option<Network>,
    /// The kernel's switches, `/proc/sys`.
    pub sysctls: PathBuf,
}

#[cfg(test)]
impl Expected {
    /// All of it in this folder, of a node that is reached at 1194 over UDP.
    pub(crate) fn in_folder(dir: &std::path::Path) -> Self {
        let at = |name: &str| dir.join(name);
        Self {
            allow_dir: at("allow"),
            control_socket: at("m.sock"),
            port: 1194,
            protocol: Protocol::Udp,
            ipv6: false,
            ca: at("ca.crt"),
            certificate: at("node.crt"),
            key: at("node.key"),
            tls_crypt_v2: at("v2.key"),
            network: None,
            sysctls: at("sys"),
        }
    }
}
