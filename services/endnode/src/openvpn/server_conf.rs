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

use vpnmanager_nats::commands::Protocol;

use super::{
    tunnel::Tunnel,
    vpn_network::{VpnNetwork, VpnNetwork6},
};
use crate::{account::AccountName, groups::Layout, interface::InterfaceName};

/// The most bytes of a unix socket's path (`sun_path` less its final NUL, unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// The number of the first IPv6 address that OpenVPN gives out by itself, as with its `server-ipv6`.
const FIRST_DYNAMIC6: u16 = 0x1000;

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
    /// Where clients connect.
    pub port: u16,
    /// The tunnel's transport.
    pub protocol: Protocol,
    /// Whether the kernel has IPv6: clients then reach the server over both families.
    pub ipv6: bool,
    /// Addresses inside the tunnel.
    pub network: VpnNetwork,
    /// IPv6 addresses inside the tunnel, if clients get any.
    pub network6: Option<VpnNetwork6>,
    /// The most clients at once.
    pub max_clients: NonZeroU32,
    /// The fleet's certificate authority.
    pub ca: ConfPath,
    /// This node's certificate.
    pub cert: ConfPath,
    /// Its private key.
    pub key: ConfPath,
    /// The fleet's tls-crypt-v2 server key.
    pub tls_crypt_v2: ConfPath,
    /// The allow-list folder.
    pub allow_dir: ConfPath,
    /// The management socket.
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
        let mut text =
            String::from("# Written by vpnmanager-endnode; changes are overwritten when OpenVPN is next started.\n");
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

    /// Clients that fit at once.
    pub fn capacity(&self) -> u32 {
        self.network.client_addresses().min(self.max_clients.get())
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
        let Some(network6) = self.network6 else {
            return Ok(());
        };
        // What `server-ipv6` stands for: OpenVPN does not take that beside `nopool` (`helper_client_server` of its helper.c).
        let bits = network6.prefix_length();
        writeln!(out, "ifconfig-ipv6 {}/{bits} {}", network6.at(1), network6.at(2))?;
        writeln!(out, "ifconfig-ipv6-pool {}/{bits}", network6.at(FIRST_DYNAMIC6))
    }

    fn write(&self, out: &mut String) -> fmt::Result {
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
        // Pushed to clients: one that hears nothing for 7 s tries again for 3 s (`server-poll-timeout`), then goes to its next
        // node. A ping each second, so that seven must be lost in a row before a live node is taken for a dead one.
        writeln!(out, "keepalive 1 7")?;
        if self.protocol == Protocol::Udp {
            // 2: a server that stops sends its clients to their next node at once; with 1 they would try this one again.
            writeln!(out, "explicit-exit-notify 2")?;
        }
        // The allow-list: no file, no login, at each handshake and rekey.
        writeln!(out, "client-config-dir {}", self.allow_dir)?;
        writeln!(out, "ccd-exclusive")?;
        writeln!(out, "max-clients {}", self.max_clients)?;
        // After a failover all clients of another node connect at once. OpenVPN 2.5 has no such limit and no such option.
        writeln!(out, "ignore-unknown-option connect-freq-initial")?;
        writeln!(out, "connect-freq-initial 1000 10")?;
        // With the kernel's data channel some releases tell too few bytes of a session, or none. OpenVPN before 2.6 has neither.
        writeln!(out, "ignore-unknown-option disable-dco")?;
        writeln!(out, "disable-dco")?;
        // Their sum is how long a denied client that ignores every message stays connected while no agent cuts it.
        writeln!(out, "reneg-sec 600")?;
        writeln!(out, "tran-window 60")?;
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
mod tests {
    use super::*;
    use crate::openvpn::written_conf::{capacity_of, tunnel_of};

    fn path(text: &str) -> ConfPath {
        ConfPath::new(Path::new(text)).expect("a valid path")
    }

    fn conf(protocol: Protocol) -> ServerConf {
        let dir = "/var/lib/vpnmanager/endnode";
        ServerConf {
            port: 1194,
            protocol,
            ipv6: true,
            network: "10.8.0.0/16".parse().expect("a valid network"),
            network6: None,
            max_clients: NonZeroU32::new(1000).expect("not zero"),
            ca: path(&format!("{dir}/openvpn/ca.crt")),
            cert: path(&format!("{dir}/openvpn/node.crt")),
            key: path(&format!("{dir}/openvpn/node.key")),
            tls_crypt_v2: path(&format!("{dir}/openvpn/tls-crypt-v2.key")),
            allow_dir: path(&format!("{dir}/allow")),
            control_socket: path("/run/vpn manager/node-1.sock"),
            control_user: "root".parse().expect("a valid name"),
            user: "nobody".parse().expect("a valid name"),
            group: "nogroup".parse().expect("a valid name"),
        }
    }

    #[test]
    fn rendered_for_udp() {
        insta::assert_snapshot!(conf(Protocol::Udp).render());
    }

    #[test]
    fn over_tcp_nothing_is_said_about_exit_notifications() {
        assert!(!conf(Protocol::Tcp).render().contains("explicit-exit-notify"));
        assert!(conf(Protocol::Tcp).render().contains("\nproto tcp6-server\n"));
    }

    #[test]
    fn ipv6_in_the_tunnel_is_said_beside_ipv4_and_the_tunnel_is_read_back_as_it_is() {
        let mut conf = conf(Protocol::Tcp);
        conf.network6 = Some("fd12:3456:789a::/64".parse().expect("a valid network"));
        let text = conf.render();
        let addresses = "\nserver 10.8.0.0 255.255.0.0 nopool\nifconfig-pool 10.8.0.2 10.8.127.255 255.255.0.0\n\
                         ifconfig-ipv6 fd12:3456:789a::1/64 fd12:3456:789a::2\nifconfig-ipv6-pool fd12:3456:789a::1000/64\n";
        assert!(text.contains(addresses), "{text}");
        assert!(text.contains("\ndev vpn-tcp1194\ndev-type tun\n"), "{text}");
        assert_eq!(tunnel_of(&text, || None), Some(conf.tunnel()));
    }

    #[test]
    fn without_ipv6_in_the_kernel_the_server_listens_over_ipv4() {
        for (protocol, expected) in [
            (Protocol::Udp, "\nproto udp\nmultihome\n"),
            (Protocol::Tcp, "\nproto tcp-server\n"),
        ] {
            let text = ServerConf {
                ipv6: false,
                ..conf(protocol)
            }
            .render();
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn a_path_cannot_smuggle_a_second_directive() {
        for bad in ["/a\nscript-security 2", "/a\" b", "/a'b", "/a\\b", "/a#b", "a/b", ""] {
            assert!(ConfPath::new(Path::new(bad)).is_err(), "{bad:?} was accepted");
        }
        let long = format!("/{}", "x".repeat(107));
        assert!(matches!(
            ConfPath::socket(Path::new(&long)),
            Err(InvalidServerConf::LongSocketPath { .. })
        ));
    }

    #[test]
    fn the_lower_of_network_and_limit_is_the_capacity() {
        let mut conf = conf(Protocol::Udp);
        assert_eq!(conf.capacity(), 1000);
        assert_eq!(capacity_of(&conf.render()), Some(1000));
        conf.network = "10.8.0.0/29".parse().expect("a valid network");
        assert_eq!(conf.capacity(), 5);
        assert_eq!(capacity_of(&conf.render()), Some(5));
        for odd in [
            "",
            "server 10.8.0.0 255.255.0.0\n",
            "max-clients 7\nserver 10.8.0.0 x\n",
        ] {
            assert_eq!(capacity_of(odd), None, "{odd:?}");
        }
    }
}
