//! `server.conf` of a managed OpenVPN.
//!
//! Every value has a type that cannot carry a second directive: a path without control characters, an account's name, a
//! network, numbers.

use std::{
    fmt::{self, Write as _},
    net::{Ipv6Addr, UdpSocket},
    num::NonZeroU32,
    path::Path,
};

use vpnmanager_nats::{commands::Protocol, listeners::Listeners};

use super::{
    addresses6,
    keepalive::Keepalive,
    room::Room,
    tunnel::Tunnel,
    vpn_network::{VpnNetwork, VpnNetwork6},
};
use crate::{account::AccountName, groups::Layout, interface::InterfaceName};

/// The most bytes of a unix socket's path (`sun_path` less its final NUL, unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// The beginning of the first line, by which the agent knows a file of its own.
pub(crate) const WRITTEN_BY: &str = "# Written by vpnmanager-endnode";

/// The beginning of the comment that says, where there are several, which listeners the node had when a server was started, and which slice of
/// its networks was that of this one.
pub(super) const LISTENERS_LINE: &str = "# listeners: ";

/// Places for clients beyond those that the node is meant for. Handshakes that are under way take places too, and a server whose places are all
/// taken does worse than to refuse: OpenVPN before 2.6.13, the one of Debian 12 among them, forgets its first client at each further try (measured
/// with 2.6.3; <https://github.com/OpenVPN/openvpn/issues/647>). Twice as many as the clients of another node of 1,000, who may all come at once: one
/// that finds no answer gives up after 10 s (`hand-window` of its profile) and dials again from another port, and its first try keeps its place for
/// 20 s (`hand-window 20`). `connect-freq-initial` does not limit them: it is for those that have not shown that their address is theirs.
pub const SPARE_PLACES: u32 = 2000;

/// A value that cannot stand in a server configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidServerConf {
    /// OpenVPN changes its folder when it becomes a daemon.
    #[error("{path:?} is not an absolute path")]
    RelativePath {
        /// What was given.
        path: String,
    },
    /// Not UTF-8, or with characters that mean something to OpenVPN's parser.
    #[error("the path {path:?} has characters that OpenVPN's configuration cannot carry")]
    OddPath {
        /// What was given.
        path: String,
    },
    /// The kernel would refuse it.
    #[error("the socket path {path:?} is longer than 107 bytes: choose a shorter openvpn.run_dir")]
    LongSocketPath {
        /// What was given.
        path: String,
    },
}

/// An absolute path that OpenVPN's parser reads back unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfPath(String);

impl ConfPath {
    /// Checks a path.
    pub fn new(path: &Path) -> Result<Self, InvalidServerConf> {
        let shown = || path.display().to_string();
        let Some(text) = path.to_str() else {
            return Err(InvalidServerConf::OddPath { path: shown() });
        };
        if !path.is_absolute() {
            return Err(InvalidServerConf::RelativePath { path: shown() });
        }
        if text
            .chars()
            .any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\' | '#' | ';'))
        {
            return Err(InvalidServerConf::OddPath { path: shown() });
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks the path of a unix socket.
    pub fn socket(path: &Path) -> Result<Self, InvalidServerConf> {
        let path = Self::new(path)?;
        if path.0.len() > MAX_SOCKET_PATH {
            return Err(InvalidServerConf::LongSocketPath { path: path.0 });
        }
        Ok(path)
    }

    /// The path.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

/// As it stands in a line: quoted where it has spaces.
impl fmt::Display for ConfPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(char::is_whitespace) {
            write!(f, "\"{}\"", self.0)
        } else {
            f.write_str(&self.0)
        }
    }
}

/// Whether this machine's kernel has IPv6, whatever addresses it has.
pub fn kernel_has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

/// What differs between the servers of one fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConf {
    /// Where it listens.
    pub port: u16,
    /// The tunnel's transport.
    pub protocol: Protocol,
    /// All listeners of the node, its own among them. Where there are several and they or the networks change, each gets other addresses, and
    /// all are started anew.
    pub listeners: Listeners,
    /// Whether the kernel has IPv6: clients then reach the server over both families.
    pub ipv6: bool,
    /// Addresses inside the tunnel.
    pub network: VpnNetwork,
    /// IPv6 addresses inside the tunnel, if clients get any.
    pub network6: Option<VpnNetwork6>,
    /// The clients that the node is meant for, and that users are placed by.
    pub max_clients: NonZeroU32,
    /// Places beyond these: [`SPARE_PLACES`].
    pub spare_places: u32,
    /// How soon each side notices that the other one is gone.
    pub keepalive: Keepalive,
    /// The fleet's certificate authority.
    pub ca: ConfPath,
    /// This node's certificate.
    pub cert: ConfPath,
    /// Its private key.
    pub key: ConfPath,
    /// The fleet's tls-crypt-v2 server key.
    pub tls_crypt_v2: ConfPath,
    /// The allow-list folder of its listener.
    pub allow_dir: ConfPath,
    /// Its management socket.
    pub control_socket: ConfPath,
    /// The only user whose processes may open the management socket: the agent's.
    pub control_user: AccountName,
    /// The account that OpenVPN runs as once it has started.
    pub user: AccountName,
    /// Its group.
    pub group: AccountName,
}

impl ServerConf {
    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = format!("{WRITTEN_BY}; changes are overwritten when OpenVPN is next started.\n");
        // Writing into a String cannot fail.
        _ = self.write(&mut text);
        text
    }

    /// The tunnel of a server that starts with it.
    pub fn tunnel(&self) -> Tunnel {
        Tunnel {
            device: InterfaceName::of_listener(self.protocol, self.port),
            network: self.network,
            network6: self.network6,
            is_split: true,
        }
    }

    /// Its room for clients.
    pub fn room(&self) -> Room {
        let clients = self.max_clients.get();
        Room {
            capacity: self.network.client_addresses().min(clients),
            places: clients.saturating_add(self.spare_places),
        }
    }

    /// `6` stands for both families: an IPv6 socket takes clients over IPv4 too.
    fn write_proto(&self, out: &mut String) -> fmt::Result {
        match (self.protocol, self.ipv6) {
            (Protocol::Udp, true) => writeln!(out, "proto udp6")?,
            (Protocol::Udp, false) => writeln!(out, "proto udp")?,
            (Protocol::Tcp, true) => writeln!(out, "proto tcp6-server")?,
            (Protocol::Tcp, false) => writeln!(out, "proto tcp-server")?,
        }
        if self.protocol == Protocol::Udp {
            // Answers come from the address that the client dialled; otherwise it drops them where the machine has several.
            writeln!(out, "multihome")?;
        }
        Ok(())
    }

    fn write_tunnel(&self, out: &mut String) -> fmt::Result {
        // The rules of the machine's firewall name it, so it is the same after each start.
        writeln!(out, "dev {}", self.tunnel().device)?;
        writeln!(out, "dev-type tun")?;
        writeln!(out, "topology subnet")?;
        self.write_addresses(out)
    }

    /// OpenVPN gives out the lower half by itself. The upper half is for the members of groups, whose entries of the allow-list say which
    /// address is theirs.
    fn write_addresses(&self, out: &mut String) -> fmt::Result {
        let layout = Layout::new(self.network, self.network6);
        let mask = self.network.mask();
        writeln!(out, "server {} {mask} nopool", self.network.address())?;
        writeln!(
            out,
            "ifconfig-pool {} {} {mask}",
            layout.first_dynamic(),
            layout.last_dynamic()
        )?;
        let lines = self.network6.map(addresses6::lines);
        lines.iter().flatten().try_for_each(|line| writeln!(out, "{line}"))
    }

    /// What the agent looks at before it leaves a server of several running. With other networks of the node this slice is another one too.
    fn write_listeners(&self, out: &mut String) -> fmt::Result {
        if self.listeners.is_one() {
            return Ok(());
        }
        write!(out, "{LISTENERS_LINE}{} of {}", self.listeners, self.network)?;
        if let Some(network6) = self.network6 {
            write!(out, " {network6}")?;
        }
        writeln!(out)
    }

    /// How both sides say goodbye.
    fn write_goodbyes(&self, out: &mut String) -> fmt::Result {
        match self.protocol {
            Protocol::Udp => {
                // 2: a server that stops sends its clients to their next node at once; with 1 they would try this one again.
                writeln!(out, "explicit-exit-notify 2")?;
                // A profile with remotes of both transports, of this node or of others, cannot say it: OpenVPN refuses it beside TCP
                // (`options_postprocess_verify_ce` of its options.c). Clients take it from the server (`OPT_P_EXPLICIT_NOTIFY` is in what
                // they pull).
                writeln!(out, "push \"explicit-exit-notify 1\"")
            }
            // The connection ends with whoever ends.
            Protocol::Tcp => Ok(()),
        }
    }

    /// What a server says that is not the only one of its node.
    fn write_for_several(&self, out: &mut String) -> fmt::Result {
        match (self.protocol, self.listeners.is_one()) {
            (Protocol::Udp, true | false) | (Protocol::Tcp, true) => Ok(()),
            // It sets the option on the server's sockets and pushes it to clients: what is inside the tunnel waits for nothing as it is.
            (Protocol::Tcp, false) => writeln!(out, "tcp-nodelay"),
        }
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        self.write_listeners(out)?;
        writeln!(out, "port {}", self.port)?;
        self.write_proto(out)?;
        self.write_tunnel(out)?;
        writeln!(out, "ca {}", self.ca)?;
        writeln!(out, "cert {}", self.cert)?;
        writeln!(out, "key {}", self.key)?;
        // Elliptic curves only.
        writeln!(out, "dh none")?;
        writeln!(out, "tls-crypt-v2 {}", self.tls_crypt_v2)?;
        writeln!(out, "tls-version-min 1.2")?;
        writeln!(out, "tls-groups X25519:prime256v1")?;
        writeln!(out, "tls-cert-profile preferred")?;
        writeln!(out, "remote-cert-tls client")?;
        writeln!(out, "verify-client-cert require")?;
        writeln!(out, "data-ciphers AES-256-GCM:CHACHA20-POLY1305")?;
        writeln!(out, "auth SHA256")?;
        // Pushed to clients: one that hears nothing for the timeout tries again for 3 s (`server-poll-timeout`), then goes to its next
        // node.
        writeln!(out, "keepalive {}", self.keepalive)?;
        self.write_goodbyes(out)?;
        self.write_for_several(out)?;
        // The allow-list: no file, no login, at each handshake and rekey.
        writeln!(out, "client-config-dir {}", self.allow_dir)?;
        writeln!(out, "ccd-exclusive")?;
        // What the node is meant for: earlier releases of the agent read this one. OpenVPN goes by the last.
        writeln!(out, "max-clients {}", self.max_clients)?;
        writeln!(out, "max-clients {}", self.room().places)?;
        // A handshake takes a place for as long, and whoever has a profile can begin any number and finish none. A client of ours gives up after
        // 10 s (`hand-window` of its profile) and begins anew. Others have time for three lost packets in a row, which are sent again after 2,
        // 4 and 8 s. A rekey that takes longer ends no session: the key before it is good until `tran-window` is over.
        writeln!(out, "hand-window 20")?;
        // After a failover all clients of another node connect at once. OpenVPN 2.5 has no such limit and no such option.
        writeln!(out, "ignore-unknown-option connect-freq-initial")?;
        writeln!(out, "connect-freq-initial 1000 10")?;
        // With the kernel's data channel some releases tell too few bytes of a session, or none. OpenVPN before 2.6 has neither.
        writeln!(out, "ignore-unknown-option disable-dco")?;
        writeln!(out, "disable-dco")?;
        // Their sum is how long a denied client that ignores every message stays connected while no agent cuts it.
        writeln!(out, "reneg-sec 600")?;
        writeln!(out, "tran-window 60")?;
        let process = ProcessLines {
            control_socket: &self.control_socket,
            control_user: &self.control_user,
            user: &self.user,
            group: &self.group,
        };
        process.write(out)
    }
}

/// What the agent says to every OpenVPN that it runs: who may control it, what it may do, what it logs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessLines<'a> {
    /// Its management socket.
    pub(crate) control_socket: &'a ConfPath,
    /// The only user whose processes may open the socket: the agent's.
    pub(crate) control_user: &'a AccountName,
    /// The account that it runs as once it has started.
    pub(crate) user: &'a AccountName,
    /// The group of that.
    pub(crate) group: &'a AccountName,
}

impl ProcessLines<'_> {
    /// Writes them as the last ones of a configuration.
    pub(crate) fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "management {} unix", self.control_socket)?;
        // OpenVPN opens its socket to every account; this limits it to the agent's, also against root when the agent is not root.
        writeln!(out, "management-client-user {}", self.control_user)?;
        writeln!(out, "user {}", self.user)?;
        writeln!(out, "group {}", self.group)?;
        writeln!(out, "persist-key")?;
        writeln!(out, "persist-tun")?;
        // No scripts or programs are run.
        writeln!(out, "script-security 0")?;
        // Strangers can cause lines. Of the same kind in a row so many are written, and from 2 on the kinds of one packet alternate.
        // From 3 on OpenVPN also logs a line for every command on the management socket.
        writeln!(out, "mute 20")?;
        writeln!(out, "verb 1")
    }
}

#[cfg(test)]
mod tests;
