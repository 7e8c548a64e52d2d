//! What a configuration says that [`ServerConf::render`](super::server_conf::ServerConf::render) wrote, in this release or an earlier one.

use std::{net::Ipv4Addr, path::PathBuf};

use ipnet::Ipv6Net;

use super::{
    room::Room,
    tunnel::Tunnel,
    vpn_network::{VpnNetwork, VpnNetwork6},
};
use crate::{groups::Layout, interface::InterfaceName};

/// Its room for clients; `None` where that cannot be read.
pub fn room_of(conf: &str) -> Option<Room> {
    let mut limits = values(conf, "max-clients").map(|limit| limit.parse::<u32>().ok());
    let clients = limits.next()??;
    // Earlier releases wrote one line: no place was spare.
    let places = limits.last().unwrap_or(Some(clients))?;
    let capacity = network_of(conf)?.client_addresses().min(clients);
    Some(Room { capacity, places })
}

/// Its tunnel; `None` where that cannot be read. `unnamed` finds the device where the configuration leaves its name to OpenVPN, as those
/// of earlier releases do.
pub fn tunnel_of(conf: &str, unnamed: impl FnOnce() -> Option<InterfaceName>) -> Option<Tunnel> {
    let device = match value(conf, "dev")? {
        "tun" => unnamed()?,
        name => name.parse().ok()?,
    };
    // Earlier releases wrote `server-ipv6`.
    let network6 = match (value(conf, "ifconfig-ipv6"), value(conf, "server-ipv6")) {
        (Some(addresses), _) => Some(network6_of(addresses)?),
        (None, Some(network)) => Some(network.parse().ok()?),
        (None, None) => None,
    };
    let network = network_of(conf)?;
    Some(Tunnel {
        device,
        network,
        network6,
        is_split: is_split(conf, network),
    })
}

/// Its management socket; `None` where that cannot be read.
pub fn control_socket_of(conf: &str) -> Option<PathBuf> {
    let path = value(conf, "management")?.strip_suffix(" unix")?;
    let quoted = path.strip_prefix('"').and_then(|path| path.strip_suffix('"'));
    Some(quoted.unwrap_or(path).into())
}

fn network_of(conf: &str) -> Option<VpnNetwork> {
    let server = value(conf, "server")?;
    // Earlier releases left the pool of addresses to OpenVPN.
    let (address, mask) = server.strip_suffix(" nopool").unwrap_or(server).split_once(' ')?;
    let prefix = mask.parse::<Ipv4Addr>().ok()?.to_bits().count_ones();
    format!("{address}/{prefix}").parse().ok()
}

/// The network of the server's own address, which stands before that of its end of the tunnel.
fn network6_of(addresses: &str) -> Option<VpnNetwork6> {
    let (own, _) = addresses.split_once(' ')?;
    let own: Ipv6Net = own.parse().ok()?;
    own.trunc().to_string().parse().ok()
}

/// Whether OpenVPN gives out the lower half alone.
fn is_split(conf: &str, network: VpnNetwork) -> bool {
    let layout = Layout::new(network, None);
    let lower = format!(
        "{} {} {}",
        layout.first_dynamic(),
        layout.last_dynamic(),
        network.mask()
    );
    value(conf, "ifconfig-pool") == Some(lower.as_str())
}

/// That of the first line of this name.
pub(super) fn value<'conf>(conf: &'conf str, name: &str) -> Option<&'conf str> {
    values(conf, name).next()
}

/// Those of all lines of this name.
fn values<'conf>(conf: &'conf str, name: &str) -> impl Iterator<Item = &'conf str> {
    let lines = conf.lines().filter_map(|line| line.split_once(' '));
    lines.filter(move |(found, _)| *found == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_read_with_its_device_or_that_of_the_process() {
        let named = "dev vpn-udp1194\ndev-type tun\nserver 10.8.0.0 255.255.0.0\nserver-ipv6 fd00:8::/64\n";
        let tunnel = tunnel_of(named, || panic!("it has a name")).expect("a tunnel");
        assert_eq!(tunnel.device.as_str(), "vpn-udp1194");
        assert_eq!(tunnel.network.to_string(), "10.8.0.0/16");
        assert_eq!(tunnel.network6.map(String::from).as_deref(), Some("fd00:8::/64"));
        assert!(!tunnel.is_split);

        let older = "dev tun\ntopology subnet\nserver 10.9.0.0 255.255.255.0\n";
        let tunnel = tunnel_of(older, || "tun3".parse().ok()).expect("a tunnel");
        assert_eq!((tunnel.device.as_str(), tunnel.network6), ("tun3", None));
        assert_eq!(tunnel_of(older, || None), None);
        for unreadable in [
            "",
            "dev tun0\n",
            "dev tun0\nserver 10.9.0.0 x\n",
            "dev tun0\nserver 10.9.0.0 255.255.0.0 nopool\nifconfig-ipv6 fd00:8::1/64\n",
        ] {
            assert_eq!(tunnel_of(unreadable, || None), None, "{unreadable:?}");
        }
    }

    #[test]
    fn the_management_socket_is_read_with_and_without_spaces_in_its_path() {
        for (line, path) in [
            ("management /run/n1.tcp443.sock unix", Some("/run/n1.tcp443.sock")),
            ("management \"/run/a b.sock\" unix", Some("/run/a b.sock")),
            ("management 127.0.0.1 7505", None),
            ("port 1194", None),
        ] {
            assert_eq!(control_socket_of(line), path.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn the_first_limit_is_what_the_node_is_meant_for_and_the_last_one_is_that_of_openvpn() {
        for (limits, room) in [
            ("max-clients 100\n", Some((100, 100))),
            ("max-clients 100\nmax-clients 300\n", Some((100, 300))),
            ("max-clients 1000\nmax-clients 3000\n", Some((253, 3000))),
            ("max-clients 100\nmax-clients many\n", None),
            ("max-clients many\nmax-clients 300\n", None),
            ("", None),
        ] {
            let text = format!("server 10.9.0.0 255.255.255.0 nopool\n{limits}");
            let room = room.map(|(capacity, places)| Room { capacity, places });
            assert_eq!(room_of(&text), room, "{limits:?}");
        }
    }

    #[test]
    fn a_tunnel_is_split_where_openvpn_gives_out_the_lower_half_alone() {
        let conf = |pool: &str| {
            let ipv6 = "ifconfig-ipv6 fd00:8::1/64 fd00:8::2\nifconfig-ipv6-pool fd00:8::1000/64\n";
            let text = format!("dev tun0\nserver 10.9.0.0 255.255.255.0 nopool\n{pool}{ipv6}max-clients 1000\n");
            let room = Room {
                capacity: 253,
                places: 1000,
            };
            assert_eq!(room_of(&text), Some(room));
            tunnel_of(&text, || None).expect("a tunnel")
        };
        let split = conf("ifconfig-pool 10.9.0.2 10.9.0.127 255.255.255.0\n");
        assert!(split.is_split);
        assert_eq!(split.network.to_string(), "10.9.0.0/24");
        assert_eq!(split.network6.map(String::from).as_deref(), Some("fd00:8::/64"));
        for other in ["", "ifconfig-pool 10.9.0.2 10.9.0.253 255.255.255.0\n"] {
            assert!(!conf(other).is_split, "{other:?}");
        }
    }
}
