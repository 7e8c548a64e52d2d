//! What a configuration says that [`ServerConf::render`](super::server_conf::ServerConf::render) wrote, in this release or an earlier one.

use std::net::Ipv4Addr;

use super::vpn_network::VpnNetwork;

/// Clients that fit at once; `None` where that cannot be read.
pub fn capacity_of(conf: &str) -> Option<u32> {
    let max_clients: u32 = value(conf, "max-clients")?.parse().ok()?;
    Some(network_of(conf)?.client_addresses().min(max_clients))
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
