//! What a configuration says that [`ServerConf::render`](super::server_conf::ServerConf::render) wrote, in this release or an earlier one.

use std::net::Ipv4Addr;

use super::{tunnel::Tunnel, vpn_network::VpnNetwork};
use crate::interface::InterfaceName;

/// Clients that fit at once; `None` where that cannot be read.
pub fn capacity_of(conf: &str) -> Option<u32> {
    let max_clients: u32 = value(conf, "max-clients")?.parse().ok()?;
    Some(network_of(conf)?.client_addresses().min(max_clients))
}

/// Its tunnel; `None` where that cannot be read. `unnamed` finds the device where the configuration leaves its name to OpenVPN, as those
/// of earlier releases do.
pub fn tunnel_of(conf: &str, unnamed: impl FnOnce() -> Option<InterfaceName>) -> Option<Tunnel> {
    let device = match value(conf, "dev")? {
        "tun" => unnamed()?,
        name => name.parse().ok()?,
    };
    let network6 = match value(conf, "server-ipv6") {
        Some(network) => Some(network.parse().ok()?),
        None => None,
    };
    Some(Tunnel {
        device,
        network: network_of(conf)?,
        network6,
    })
}

fn network_of(conf: &str) -> Option<VpnNetwork> {
    let (address, mask) = value(conf, "server")?.split_once(' ')?;
    let prefix = mask.parse::<Ipv4Addr>().ok()?.to_bits().count_ones();
    format!("{address}/{prefix}").parse().ok()
}

fn value<'conf>(conf: &'conf str, name: &str) -> Option<&'conf str> {
    let mut lines = conf.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(found, _)| *found == name).map(|(_, value)| value)
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

        let older = "dev tun\ntopology subnet\nserver 10.9.0.0 255.255.255.0\n";
        let tunnel = tunnel_of(older, || "tun3".parse().ok()).expect("a tunnel");
        assert_eq!((tunnel.device.as_str(), tunnel.network6), ("tun3", None));
        assert_eq!(tunnel_of(older, || None), None);
        for unreadable in ["", "dev tun0\n", "dev tun0\nserver 10.9.0.0 x\n"] {
            assert_eq!(tunnel_of(unreadable, || None), None, "{unreadable:?}");
        }
    }
}
